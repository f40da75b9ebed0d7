"""Who a connection acts for, and what it may read and write."""
