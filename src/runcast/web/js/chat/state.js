// A conversation: begun from what the server knows of it, kept up to date by its frames. Pure.

import { isObject, listOf, numberOf, objectOf, own, textOf } from "../runs/values.js";

const MOST_TURNS = 500;
const MOST_CHARS = 100_000; // of one answer: the server's own limit is lower
const MOST_TITLE = 80;

let made = 0; // each turn, and each change of one, has a number of its own

/** One of which nothing is known yet. */
export function makeConversation(id) {
  return { id, known: false, title: "", owner: null, members: new Map(), turns: [], answering: new Map(), reads: new Map(), leftOut: 0, cursor: "", torn: false };
}

/** What the server answers for a conversation takes the place of all that was known. */
export function loadConversation(chat, told) {
  Object.assign(chat, {
    known: true, title: textOf(told.title), owner: personOf(told.owner), leftOut: numberOf(told.left_out) ?? 0, cursor: textOf(told.cursor), torn: false,
    members: new Map(listOf(told.members).map(personOf).filter(Boolean).map((one) => [one.id, one])),
    turns: listOf(told.messages).filter(isObject).map(turnOf),
    answering: new Map(listOf(told.answering).filter(isObject).map((one) => [textOf(one.message_id), answeringOf(one)])),
    reads: new Map(Object.entries(objectOf(told.reads))),
  });
}

/** Take in one frame of this conversation; one that is told twice changes nothing. */
export function applyFrame(chat, frame) {
  own(TAKE, frame.type)?.(chat, frame);
  if (frame.cursor) chat.cursor = frame.cursor;
  while (chat.turns.length > MOST_TURNS) {
    chat.turns.shift();
    chat.leftOut += 1;
  }
}

const TAKE = {
  session_created(chat, frame) {
    chat.known = true;
    chat.owner ??= personOf(frame.owner);
    chat.title ||= textOf(frame.title);
  },
  member_added(chat, frame) {
    const person = personOf(frame.user);
    if (person) chat.members.set(person.id, person);
  },
  member_removed(chat, frame) {
    chat.members.delete(textOf(frame.user?.id));
  },
  message(chat, frame) {
    if (findTurn(chat, frame.message_id)) return;
    chat.known = true;
    chat.turns.push(turnOf({ ...frame, role: "user" }));
    chat.title ||= textOf(frame.message).replace(/\s+/g, " ").trim().slice(0, MOST_TITLE);
    if (textOf(frame.answer_id)) expect(chat, frame.answer_id, frame.message_id);
  },
  retry(chat, frame) {
    expect(chat, frame.answer_id, frame.message_id);
  },
  progress(chat, frame) {
    const answer = chat.answering.get(frame.message_id);
    if (!answer) return;
    if (numberOf(frame.attempt) !== null) answer.steps = []; // what was begun before has come to nothing
    const told = stepOf(frame);
    if (answer.steps.at(-1)?.message !== told.message) answer.steps.push(told);
    answer.agent = textOf(frame.agent) || answer.agent;
  },
  token(chat, frame) {
    const answer = chat.answering.get(frame.message_id);
    if (!answer) return;
    const offset = numberOf(frame.offset) ?? answer.text.length;
    if (offset > answer.text.length) chat.torn = true; // something in between was missed: it is to be read anew
    else answer.text = (answer.text.slice(0, offset) + textOf(frame.token)).slice(0, MOST_CHARS);
  },
  complete(chat, frame) {
    end(chat, frame, { text: textOf(frame.response), status: frame.cancelled === true ? "cancelled" : "complete", metadata: objectOf(frame.metadata) });
  },
  error(chat, frame) {
    const { text = "", agent = "" } = chat.answering.get(frame.message_id) ?? {};
    end(chat, frame, { text, agent, status: "failed", error: textOf(frame.error) || "Something went wrong." });
  },
  edit(chat, frame) {
    const turn = findTurn(chat, frame.message_id);
    if (turn) Object.assign(turn, { text: textOf(frame.message), edited: true, version: (made += 1) });
  },
  delete(chat, { message_id: id }) {
    chat.turns = chat.turns.filter((turn) => turn.id !== id);
    for (const answer of chat.answering.values()) if (answer.id === id || answer.question === id) answer.cancelled = true;
  },
  read(chat, frame) {
    if (textOf(frame.user?.id)) chat.reads.set(frame.user.id, textOf(frame.message_id));
  },
};

function expect(chat, id, question) {
  if (!textOf(id) || chat.answering.has(id) || findTurn(chat, id)) return;
  chat.answering.set(id, answeringOf({ message_id: id, in_reply_to: question }));
}

function end(chat, frame, told) {
  const id = textOf(frame.message_id);
  if (!id || findTurn(chat, id)) return;
  chat.answering.delete(id);
  chat.turns.push({ ...turnOf({ ...frame, role: "assistant", message: told.text }), ...told });
}

function turnOf(told) {
  return {
    version: (made += 1), id: textOf(told.message_id), role: told.role === "assistant" ? "assistant" : "user", text: textOf(told.message), user: personOf(told.user),
    time: Date.parse(told.timestamp) || 0, question: textOf(told.in_reply_to), status: textOf(told.status) || "complete", error: textOf(told.error),
    edited: told.edited === true, attachments: listOf(told.attachments).filter(isObject).map(attachmentOf), metadata: objectOf(told.metadata),
  };
}

const attachmentOf = (told) => ({ id: textOf(told.attachment_id), name: textOf(told.name) || "attachment", mime: textOf(told.mime), size: numberOf(told.size) ?? 0 });

const stepOf = (told) => ({ step: textOf(told.step), message: textOf(told.message) });

function answeringOf(told) {
  const steps = listOf(told.steps).filter(isObject);
  return {
    id: textOf(told.message_id), question: textOf(told.in_reply_to), text: textOf(told.text), cancelled: told.cancelled === true,
    steps: steps.map(stepOf), agent: textOf(steps.findLast(({ agent }) => agent)?.agent),
  };
}

function personOf(told) {
  return isObject(told) && textOf(told.id) ? { id: told.id, name: textOf(told.name) } : null;
}

export const findTurn = (chat, id) => chat.turns.findLast((turn) => turn.id === id) ?? null;

/** All who take part, the owner first. */
export const peopleOf = ({ owner, members }) => [...(owner ? [owner] : []), ...[...members.values()].filter(({ id }) => id !== owner?.id)];

/** Whether something is being answered that nobody has stopped. */
export const isAnswering = ({ answering }) => [...answering.values()].some(({ cancelled }) => !cancelled);

/** What is shown, in order: what was said, then what is being answered. `quoted` is a question that stands further up. */
export function itemsOf(chat) {
  const items = chat.turns.map((turn, at) => {
    const before = chat.turns[at - 1];
    const isNext = !turn.question || before?.id === turn.question;
    return { ...turn, pending: false, quoted: isNext ? null : findTurn(chat, turn.question) };
  });
  for (const answer of chat.answering.values()) {
    const quoted = chat.turns.at(-1)?.id === answer.question ? null : findTurn(chat, answer.question);
    items.push({ ...answer, role: "assistant", pending: true, quoted, status: "", error: "", attachments: [], metadata: {} });
  }
  return items;
}

/** Who else has read up to which message, the last one of each: message id -> people. Nobody has read what they say themselves. */
export function readersOf(chat, me) {
  const readers = new Map();
  for (const person of peopleOf(chat)) {
    const id = chat.reads.get(person.id);
    if (person.id !== me && id) readers.set(id, [...(readers.get(id) ?? []), person]);
  }
  return readers;
}

/** What an answer tells of itself: {agent, routing, confidence, model, sources, truncated}. */
export function factsOf({ metadata, agent = "" }) {
  return {
    agent: textOf(metadata.agent) || agent, routing: numberOf(metadata.routing_confidence), confidence: numberOf(metadata.confidence),
    model: textOf(metadata.model), sources: listOf(objectOf(metadata.context).sources), truncated: metadata.truncated === true,
  };
}
