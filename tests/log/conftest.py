"""The suite ships with the package; here its assertions explain themselves."""

import pytest

pytest.register_assert_rewrite("runcast.log.conformance")
