// Where one writes: the text, the files that go with it, send and stop.

import { bdi, el, icon, setText } from "../dom.js";
import { count } from "../format.js";
import { dataUrl, isPicture } from "./files.js";
import { sizeWords } from "./frames.js";

const MOST_FILES = 10;
const MOST_FILE_BYTES = 10 * 1024 * 1024;
const MOST_HEIGHT_PX = 220;
const TYPING_MS = 2_000; // between two times that others are told
const COARSE = matchMedia("(pointer: coarse)"); // there a keyboard would come up by itself
const STILL_MS = 3_000; // nothing written for so long: not typing any more

export class Composer {
  #files = [];
  #typedAt = 0;
  #still = null;

  /** `send(text, files)` resolves to whether it was taken; `stop()`, `typing(is)`, `say(text, how)`, `editLast()`. */
  constructor({ send, stop, typing, say, editLast }) {
    Object.assign(this, { send, stop, typing, say, editLast });
    this.text = el("textarea", { id: "say", rows: 1, placeholder: "Ask something", "aria-label": "Message", enterkeyhint: "send", autocomplete: "off", dir: "auto", disabled: true });
    this.picker = el("input", { type: "file", multiple: true, hidden: true, id: "files", "aria-label": "Files to attach" });
    this.tray = el("ul.tray", { hidden: true, "aria-label": "Files that go with the message" });
    this.sendButton = el("button.primary.send", { type: "submit", "aria-label": "Send", title: "Send (Enter)" }, icon("send", 18));
    this.stopButton = el("button.stop", { type: "button", hidden: true, title: "Stop the answer", on: { click: () => this.stop() } }, icon("end", 14), el("span", "Stop"));
    this.node = el("form.composer",
      this.tray,
      el("div.composer-row",
        el("button.quiet.attach", { type: "button", "aria-label": "Attach files", title: "Attach files; or paste, or drop them", on: { click: () => this.picker.click() } }, icon("attach", 18)),
        this.picker, this.text, this.stopButton, this.sendButton,
      ),
    );
    this.#listen();
    this.#grow();
  }

  update({ answering, disabled }) {
    this.stopButton.hidden = !answering;
    const waited = this.text.disabled && !disabled;
    this.text.disabled = disabled;
    if (waited && !COARSE.matches) this.focus();
    this.#ready();
  }

  focus() {
    this.text.focus({ preventScroll: true });
  }

  /** Put a text there that somebody may want to send; what is being written stays. */
  offer(text, files = []) {
    if (this.text.value.trim() && text) return;
    if (text) this.text.value = text;
    if (files.length && !this.#files.length) this.#files = files;
    this.#drawTray();
    this.#grow();
  }

  /** What is written and was not sent. */
  get draft() {
    return { text: this.text.value, files: this.#files };
  }

  clear() {
    this.text.value = "";
    this.#files = [];
    this.#drawTray();
    this.#grow();
  }

  attach(files) {
    for (const file of files) {
      if (this.#files.length >= MOST_FILES) {
        this.say(`At most ${MOST_FILES} files go with one message.`, { tone: "warn" });
        break;
      }
      if (file.size > MOST_FILE_BYTES) this.say(`${file.name} has ${sizeWords(file.size)}; a file may have 10 MiB.`, { tone: "warn" });
      else this.#files.push(file);
    }
    this.#drawTray();
    this.focus();
  }

  #listen() {
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.text.addEventListener("input", () => {
      this.#grow();
      this.#typed();
    });
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "ArrowUp" && !this.text.value && !this.#files.length && this.editLast()) event.preventDefault();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.text.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      this.attach(files);
    });
    this.picker.addEventListener("change", () => {
      this.attach([...this.picker.files]);
      this.picker.value = "";
    });
  }

  async #submit() {
    const text = this.text.value.trim();
    const files = this.#files;
    if (!text && !files.length) return;
    this.#stillNow();
    if (await this.send(text, files)) this.clear();
    this.focus();
  }

  #typed() {
    clearTimeout(this.#still);
    this.#still = setTimeout(() => this.#stillNow(), STILL_MS);
    if (Date.now() - this.#typedAt < TYPING_MS) return;
    this.#typedAt = Date.now();
    this.typing(true);
  }

  #stillNow() {
    clearTimeout(this.#still);
    if (this.#typedAt) this.typing(false);
    this.#typedAt = 0;
  }

  #ready() {
    this.sendButton.disabled = this.text.disabled || (!this.text.value.trim() && !this.#files.length);
  }

  /** As high as its text, up to a point. */
  #grow() {
    this.#ready();
    this.text.style.setProperty("height", "auto");
    if (this.text.scrollHeight) this.text.style.setProperty("height", `${Math.min(MOST_HEIGHT_PX, this.text.scrollHeight + 2)}px`);
  }

  #drawTray() {
    this.tray.hidden = !this.#files.length;
    this.tray.replaceChildren(...this.#files.map((file) => this.#chip(file)));
    setText(this.picker, count(this.#files.length, "file"));
    this.#ready();
  }

  #chip(file) {
    const drop = () => {
      this.#files = this.#files.filter((one) => one !== file);
      this.#drawTray();
      this.focus();
    };
    const mark = el("span.chip-mark", icon("file", 15));
    if (isPicture(file.type)) dataUrl(file).then((url) => mark.replaceChildren(el("img", { alt: "", src: url }))).catch(() => {});
    return el("li.tray-file", mark, el("span.file-words", bdi(file.name, "file-name"), el("span.file-size", sizeWords(file.size))),
      el("button.quiet", { type: "button", "aria-label": `Do not send ${file.name}`, on: { click: drop } }, icon("close", 14)));
  }
}
