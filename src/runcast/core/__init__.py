"""The pure part: values, rules and state machines, without a clock, a loop, a thread or a socket."""
