"""Ready-made APIs over streams, each compatible with what a product documented."""
