"""The reference task: a text is looked through for the signs of a scam, with nothing but what is on this machine.

`entities` finds what can be checked, `database`, `domains` and `phones` check it, `search` asks the web if somebody has
said how, `verdict` weighs it, and `task` tells of each step on the way.
"""
