"""The kinds of streams: each has its vocabulary, its rules for events, and its folds."""
