// The page of the chat.

import { ChatPage } from "./page.js";

const HELP = {
  keys: [
    [["Enter"], "send"], [["Shift", "Enter"], "new line"],
    [["↑"], "change what you said last"], [["i"], "write"],
    [["n"], "new conversation"],
    [["/"], "search conversations"], [["[", "]"], "previous, next conversation"],
    [["?"], "this help"], [["Esc"], "leave a field"],
  ],
  notes: [
    ["Answers", "A classifier chooses the agent, which looks into the knowledge base and then writes. Reload or leave as you like: the answer goes on, and is here when you are back. Stop ends it."],
    ["Files", "Attach, paste or drop them, up to 10 MiB each. Only those who take part can read them."],
    ["People", "The owner of a conversation can invite others by their ids. All see the same, who is typing, and how far everybody has read."],
  ],
};

new ChatPage({ help: HELP }).start();
