"""HtmlGraph databases as a source: the rows of `agent_events` become session events, and their changes too.

`database` reads the file and never writes it, `rows` makes events of rows, `follow` does it again and again.
"""
