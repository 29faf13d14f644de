// A local file on its way to S3, in parts that the service has signed addresses for. It goes on after a reload, and
// after a lost connection, with the parts that are missing.
import { Problem, post } from "./api.js";

const AT_ONCE = 3;
const ADDRESSES = 12; // asked for in one go
const TRIES = 6;
const KEPT = "slidehook: unfinished uploads";
const WINDOW_MS = 8000; // the rate is that of so long
const DAY_MS = 86_400_000;
const MAGIC = ["49492a00", "4d4d002a", "49492b00", "4d4d002b"];

export const fingerprint = (file) => `${file.name}|${file.size}|${file.lastModified}`;

/** Uploads that were begun here and not completed, the newest first: what is known of each, by fingerprint. */
export function unfinished() {
  const found = Object.entries(kept()).filter(([, each]) => Date.now() - each.at < 6 * DAY_MS);
  return found.sort(([, one], [, other]) => other.at - one.at).map(([mark, each]) => ({ mark, ...each }));
}

export async function forget(upload) {
  keep(upload.mark, null);
  await post("/uploads/abort", { key: upload.key, upload_id: upload.upload_id });
}

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) || {};
  } catch {
    return {};
  }
}

function keep(mark, upload) {
  const all = kept();
  if (upload) all[mark] = upload;
  else delete all[mark];
  localStorage.setItem(KEPT, JSON.stringify(all));
}

/** Return why a file is no slide, before a byte of it is sent; null if it may be one. */
export async function whyNot(file) {
  if (!file.size) return "It is empty.";
  const first = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const magic = [...first].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return MAGIC.includes(magic) ? null : "It does not begin like a TIFF. Pyramidal TIFFs are taken: .svs, .tif, .tiff, .ptif.";
}

/** One file's transfer. `onchange` is called whenever `sent`, `rate` or `state` (ready, sending, paused, sent) have
 *  changed; `run` ends with the address of the object, or throws. */
export class Transfer {
  constructor(file, { collection, session, onchange }) {
    Object.assign(this, { file, collection, session, onchange, state: "ready", resumed: 0 });
    this.mark = fingerprint(file);
    this.done = new Set();
    this.under = new Map(); // part -> bytes that are on their way
    this.requests = new Set();
    this.seen = [];
  }

  get sent() {
    let bytes = 0;
    for (const number of this.done) bytes += this.sizeOf(number);
    for (const part of this.under.values()) bytes += part;
    return Math.min(this.file.size, bytes);
  }

  /** Bytes a second lately, and how many seconds are left at that rate; null while that is not known. */
  get pace() {
    const [first] = this.seen, last = this.seen.at(-1);
    if (!last || last.at - first.at < 500) return null;
    const rate = ((last.sent - first.sent) / (last.at - first.at)) * 1000;
    return rate > 0 ? { rate, left: (this.file.size - this.sent) / rate } : null;
  }

  sizeOf(number) {
    return Math.min(this.upload.part_bytes, this.file.size - (number - 1) * this.upload.part_bytes);
  }

  async run() {
    this.tell("sending");
    await this.begin();
    for (let left = this.missing(); left.length; left = this.missing()) await this.sendAll(left);
    const { key, upload_id } = this.upload;
    const { source } = await post("/uploads/complete", { key, upload_id, size_bytes: this.file.size });
    keep(this.mark, null);
    this.tell("sent");
    return source;
  }

  async begin() {
    const known = kept()[this.mark];
    if (known && known.collection === this.collection && known.session === this.session) {
      try {
        const { stored } = await post("/uploads/parts", { key: known.key, upload_id: known.upload_id });
        this.upload = known;
        for (const part of stored) if (part.size_bytes === this.sizeOf(part.number)) this.done.add(part.number);
        this.resumed = this.sent;
        return;
      } catch (error) {
        if (error.status !== 404) throw error; // S3 has forgotten it: from the beginning, then
      }
    }
    const { collection, session } = this;
    const made = await post("/uploads", { file_name: this.file.name, size_bytes: this.file.size, collection, session });
    this.upload = { ...made, collection, session, name: this.file.name, size: this.file.size, at: Date.now() };
    keep(this.mark, this.upload);
  }

  missing() {
    return Array.from({ length: this.upload.parts }, (_, at) => at + 1).filter((number) => !this.done.has(number));
  }

  async sendAll(left) {
    const addresses = new Map();
    let asking = null;
    const addressOf = async (number, anew) => {
      if (anew) addresses.delete(number);
      while (!addresses.has(number)) {
        asking ??= this.ask([number, ...left.filter((each) => each !== number && !addresses.has(each))].slice(0, ADDRESSES), addresses).finally(() => (asking = null));
        await asking;
      }
      return addresses.get(number);
    };
    const work = async () => {
      for (let number = left.shift(); number; number = left.shift()) await this.sendPart(number, addressOf);
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    } catch (error) {
      left.length = 0;
      this.stop();
      throw error;
    }
  }

  async ask(numbers, addresses) {
    const found = await post("/uploads/parts", { key: this.upload.key, upload_id: this.upload.upload_id, numbers });
    for (const { number, url } of found.addresses) addresses.set(number, url);
  }

  async sendPart(number, addressOf) {
    const start = (number - 1) * this.upload.part_bytes;
    for (let tries = 1; ; tries += 1) {
      await this.unpaused();
      try {
        await this.put(await addressOf(number, tries > 1), this.file.slice(start, start + this.sizeOf(number)), number);
        this.under.delete(number);
        this.done.add(number);
        this.tell();
        return;
      } catch (error) {
        this.under.delete(number);
        if (this.cancelled) throw new DOMException("given up", "AbortError");
        if (this.state === "paused") {
          tries -= 1;
          continue;
        }
        if (error instanceof Problem && error.status && error.status < 500 && error.status !== 403) throw error;
        if (tries >= TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries * (0.75 + Math.random() / 2)));
      }
    }
  }

  /** Send a part to S3. Only this tells how much of a body has left. */
  put(url, body, number) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.requests.add(request);
      const end = (act) => () => {
        this.requests.delete(request);
        act();
      };
      const unreachable = () => reject(new Problem(0, { code: "unreachable", detail: "The bucket cannot be reached.", hint: "Is this page's origin among those that the bucket takes slides from (PageOrigins)? The parts that arrived are kept." }));
      request.upload.onprogress = (event) => {
        this.under.set(number, event.loaded);
        this.tell();
      };
      request.onload = end(() => (request.status < 300 ? resolve() : reject(new Problem(request.status, { code: "part_refused", detail: `S3 answered with ${request.status} to part ${number}.`, hint: "Try again: the parts that arrived are kept." }))));
      request.onerror = request.ontimeout = end(unreachable);
      request.onabort = end(() => reject(new DOMException("paused", "AbortError")));
      request.open("PUT", url);
      request.send(body);
    });
  }

  pause() {
    this.tell("paused");
    this.stop();
  }

  resume() {
    this.tell("sending");
    this.wake?.();
  }

  /** Stop for good, and let S3 forget what has arrived. */
  async cancel() {
    this.cancelled = true;
    this.stop();
    this.wake?.();
    if (this.upload && this.state !== "sent") await forget({ ...this.upload, mark: this.mark });
  }

  stop() {
    for (const request of [...this.requests]) request.abort();
  }

  unpaused() {
    if (this.state !== "paused") return Promise.resolve();
    this.waiting ??= new Promise((resolve) => (this.wake = resolve)).finally(() => ([this.waiting, this.wake] = [null, null]));
    return this.waiting;
  }

  tell(state) {
    if (state) this.state = state;
    const at = Date.now();
    if (state === "sending") this.seen = [];
    if (this.upload) this.seen = [...this.seen.filter((each) => at - each.at < WINDOW_MS), { at, sent: this.sent }];
    this.onchange();
  }
}
