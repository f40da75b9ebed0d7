// The server's endpoints for conversations, and for who takes part in them.

import { get, getFile, send } from "../api.js";

const chat = (id) => `/api/v1/chat/${encodeURIComponent(id)}`;

/** The conversations that one takes part in, the latest first. */
export const listConversations = async () => (await get("/api/v1/chat", { limit: 100 })).sessions;

/** All that is known of one, with the cursor to go on from. */
export const readConversation = (id) => get(chat(id));

/** `whom` is an address with which somebody has registered, or an id; only who has none of them needs a name. */
export const invite = (id, whom, name) => send(`${chat(id)}/members`, whom.includes("@") ? { email: whom } : { user_id: whom, ...(name ? { name } : {}) });

export const removeMember = (id, member) => send(`${chat(id)}/members/${encodeURIComponent(member)}`, {}, "DELETE");

/** A file that came with a message, as a Blob; for members only. */
export const readAttachment = (id, attachment) => getFile(`${chat(id)}/attachments/${encodeURIComponent(attachment)}`);

/** {access_token, refresh_token, expires_in, user} */
export const register = ({ email, password, name }) => send("/api/v1/auth/register", { email, password, ...(name ? { name } : {}) });
export const logIn = ({ email, password }) => send("/api/v1/auth/login", { email, password });
export const refresh = (refresh_token) => send("/api/v1/auth/refresh", { refresh_token });

/** What is kept of the server's answer to a login. */
export function keptOf({ access_token: access, refresh_token: next, expires_in: seconds }) {
  return { access, refresh: next ?? "", until: Date.now() + seconds * 1000 };
}
