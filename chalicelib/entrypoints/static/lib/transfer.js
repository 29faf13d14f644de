// Multipart upload of a local file to presigned S3 URLs. After a reload or a lost connection only missing parts are sent.
import { Problem, post } from "./api.js";

const PARALLEL_PARTS = 3;
const URLS_PER_REQUEST = 12;
const ATTEMPTS = 6;
const STORAGE_KEY = "slidehook: unfinished uploads";
const SPEED_WINDOW_MS = 8000;
const DAY_MS = 86_400_000;
// S3 deletes unfinished uploads after seven days.
const EXPIRES_MS = 6 * DAY_MS;
const TIFF_SIGNATURES = ["49492a00", "4d4d002a", "49492b00", "4d4d002b"];

export const fingerprint = (file) => `${file.name}|${file.size}|${file.lastModified}`;

/** Return the uploads of this browser that are not complete, newest first, each with its fingerprint. */
export function unfinishedUploads() {
  const recent = Object.entries(storedUploads()).filter(([, upload]) => Date.now() - upload.at < EXPIRES_MS);
  return recent.sort(([, one], [, other]) => other.at - one.at).map(([key, upload]) => ({ fingerprint: key, ...upload }));
}

/** Abort an unfinished upload. S3 deletes its parts. */
export async function abortUpload(upload) {
  storeUpload(upload.fingerprint, null);
  await post("/uploads/abort", { key: upload.key, upload_id: upload.upload_id });
}

function storedUploads() {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY)) || {};
  } catch {
    return {};
  }
}

function storeUpload(key, upload) {
  const uploads = storedUploads();
  if (upload) uploads[key] = upload;
  else delete uploads[key];
  localStorage.setItem(STORAGE_KEY, JSON.stringify(uploads));
}

/** Return why a file cannot be a slide, null if it may be one. Nothing is sent. */
export async function unsupportedReason(file) {
  if (!file.size) return "The file is empty.";
  const first = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const signature = [...first].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (TIFF_SIGNATURES.includes(signature)) return null;
  return "The file is not a TIFF. Supported formats: pyramidal TIFF (.svs, .tif, .tiff, .ptif).";
}

/** The upload of one file. `onChange` is called when `sent`, `speed` or `state` (ready, sending, paused, sent) change.
 *  `run` returns the S3 URL of the object. */
export class Transfer {
  constructor(file, { collection, session, onChange }) {
    Object.assign(this, { file, collection, session, onChange, state: "ready", resumedBytes: 0 });
    this.fingerprint = fingerprint(file);
    this.doneParts = new Set();
    this.bytesInFlight = new Map(); // part number -> bytes that were sent of it
    this.requests = new Set();
    this.samples = [];
  }

  get sent() {
    let bytes = 0;
    for (const number of this.doneParts) bytes += this.sizeOf(number);
    for (const part of this.bytesInFlight.values()) bytes += part;
    return Math.min(this.file.size, bytes);
  }

  /** Return recent bytes per second and the remaining seconds at that speed, null while both are unknown. */
  get speed() {
    const [first] = this.samples, last = this.samples.at(-1);
    if (!last || last.at - first.at < 500) return null;
    const rate = ((last.sent - first.sent) / (last.at - first.at)) * 1000;
    return rate > 0 ? { bytesPerSecond: rate, remainingSeconds: (this.file.size - this.sent) / rate } : null;
  }

  sizeOf(number) {
    return Math.min(this.upload.part_bytes, this.file.size - (number - 1) * this.upload.part_bytes);
  }

  async run() {
    this.report("sending");
    await this.start();
    for (let parts = this.missingParts(); parts.length; parts = this.missingParts()) await this.sendParts(parts);
    const { key, upload_id } = this.upload;
    const { source } = await post("/uploads/complete", { key, upload_id, size_bytes: this.file.size });
    storeUpload(this.fingerprint, null);
    this.report("sent");
    return source;
  }

  async start() {
    const { collection, session } = this;
    const stored = storedUploads()[this.fingerprint];
    const isSameSession = stored && stored.collection === collection && stored.session === session;
    if (isSameSession && (await this.resumeStored(stored))) return;
    const created = await post("/uploads", { file_name: this.file.name, size_bytes: this.file.size, collection, session });
    this.upload = { ...created, collection, session, name: this.file.name, size: this.file.size, at: Date.now() };
    storeUpload(this.fingerprint, this.upload);
  }

  /** Continue a stored upload. Returns false if S3 does not have it any more. */
  async resumeStored(upload) {
    try {
      const { stored } = await post("/uploads/parts", { key: upload.key, upload_id: upload.upload_id });
      this.upload = upload;
      for (const part of stored) if (part.size_bytes === this.sizeOf(part.number)) this.doneParts.add(part.number);
      this.resumedBytes = this.sent;
      return true;
    } catch (error) {
      if (error.status !== 404) throw error;
      return false;
    }
  }

  missingParts() {
    const numbers = Array.from({ length: this.upload.parts }, (_, index) => index + 1);
    return numbers.filter((number) => !this.doneParts.has(number));
  }

  async sendParts(numbers) {
    const urls = new Map();
    let pending = null;
    const urlOf = async (number, isRetry) => {
      if (isRetry) urls.delete(number);
      while (!urls.has(number)) {
        const batch = [number, ...numbers.filter((each) => each !== number && !urls.has(each))].slice(0, URLS_PER_REQUEST);
        pending ??= this.requestUrls(batch, urls).finally(() => (pending = null));
        await pending;
      }
      return urls.get(number);
    };
    const sendNext = async () => {
      for (let number = numbers.shift(); number; number = numbers.shift()) await this.sendPart(number, urlOf);
    };
    try {
      await Promise.all(Array.from({ length: PARALLEL_PARTS }, sendNext));
    } catch (error) {
      numbers.length = 0;
      this.abortRequests();
      throw error;
    }
  }

  async requestUrls(numbers, urls) {
    const { key, upload_id } = this.upload;
    const response = await post("/uploads/parts", { key, upload_id, numbers });
    for (const { number, url } of response.addresses) urls.set(number, url);
  }

  async sendPart(number, urlOf) {
    const start = (number - 1) * this.upload.part_bytes;
    for (let attempt = 1; ; attempt += 1) {
      await this.untilResumed();
      try {
        await this.put(await urlOf(number, attempt > 1), this.file.slice(start, start + this.sizeOf(number)), number);
        this.bytesInFlight.delete(number);
        this.doneParts.add(number);
        this.report();
        return;
      } catch (error) {
        this.bytesInFlight.delete(number);
        if (this.cancelled) throw new DOMException("cancelled", "AbortError");
        if (this.state === "paused") {
          attempt -= 1;
          continue;
        }
        // 403: the URL has expired.
        if (error instanceof Problem && error.status && error.status < 500 && error.status !== 403) throw error;
        if (attempt >= ATTEMPTS) throw error;
        await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt * (0.75 + Math.random() / 2)));
      }
    }
  }

  /** Send a part to S3. `fetch` does not report how much of a body is sent. */
  put(url, body, number) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.requests.add(request);
      const finish = (action) => () => {
        this.requests.delete(request);
        action();
      };
      const fail = () => reject(unreachableBucket());
      request.upload.onprogress = (event) => {
        this.bytesInFlight.set(number, event.loaded);
        this.report();
      };
      request.onload = finish(() => (request.status < 300 ? resolve() : reject(rejectedPart(number, request.status))));
      request.onerror = request.ontimeout = finish(fail);
      request.onabort = finish(() => reject(new DOMException("paused", "AbortError")));
      request.open("PUT", url);
      request.send(body);
    });
  }

  pause() {
    this.report("paused");
    this.abortRequests();
  }

  resume() {
    this.report("sending");
    this.continueSending?.();
  }

  /** Stop, and delete the stored parts from S3. */
  async cancel() {
    this.cancelled = true;
    this.abortRequests();
    this.continueSending?.();
    if (this.upload && this.state !== "sent") await abortUpload({ ...this.upload, fingerprint: this.fingerprint });
  }

  abortRequests() {
    for (const request of [...this.requests]) request.abort();
  }

  untilResumed() {
    if (this.state !== "paused") return Promise.resolve();
    this.resumed ??= new Promise((resolve) => (this.continueSending = resolve)).finally(() => {
      [this.resumed, this.continueSending] = [null, null];
    });
    return this.resumed;
  }

  report(state) {
    if (state) this.state = state;
    const at = Date.now();
    if (state === "sending") this.samples = [];
    if (this.upload) {
      this.samples = [...this.samples.filter((sample) => at - sample.at < SPEED_WINDOW_MS), { at, sent: this.sent }];
    }
    this.onChange();
  }
}

const unreachableBucket = () =>
  new Problem(0, {
    code: "unreachable",
    detail: "The bucket is not reachable.",
    hint: "Check that the bucket allows uploads from this page's origin (PageOrigins). Uploaded parts are kept.",
  });

const rejectedPart = (number, status) =>
  new Problem(status, {
    code: "part_refused",
    detail: `S3 returned status ${status} for part ${number}.`,
    hint: "Try again. Uploaded parts are kept.",
  });
