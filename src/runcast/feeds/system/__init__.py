"""What concerns the whole server: status, agents, approvals, knowledge."""
