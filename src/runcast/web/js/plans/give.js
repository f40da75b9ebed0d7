// Gives a command to a plan and says what became of it, if the page does not show it anyway.

/** `act` sends it. A refusal is said with its reason; one that nobody has answered yet is said to wait. */
export function give(tools, act) {
  return tools.attempt(async () => {
    const { status } = await act();
    if (status === "waiting") tools.say("It is noted. No runner has answered yet; one will when there is one.", { tone: "warn" });
  });
}
