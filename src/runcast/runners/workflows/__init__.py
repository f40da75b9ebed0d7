"""Running workflows: agents as ordinary functions, live events, approvals, resumption."""
