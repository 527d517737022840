// Calls of the API, and the token they need. It stays in this tab's session storage.

const KEY = "token";

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** The API's answer is an error; `findings` say which rows and columns caused it. */
export class Refusal extends Error {
  constructor(status, message, findings = []) {
    super(message);
    this.status = status;
    this.findings = findings;
  }
}

/** The token is missing or not accepted. */
export class Unauthorized extends Refusal {}

const WORDS = {
  413: "This is too much for one request.",
  429: "The service has more requests than it takes. Please try again in a moment.",
  500: "Something went wrong in the service. Please try again.",
  503: "The model is not in service now. Please try again in a minute.",
  504: "The model took too long to answer. Please try again.",
};

/** Call the API. Gives the document with the time it took; throws a Refusal. */
export async function call(path, options = {}) {
  const began = performance.now();
  let response;
  try {
    const headers = { ...options.headers, authorization: `Bearer ${token.get()}` };
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch {
    throw new Refusal(0, "The service cannot be reached. Is there a network?");
  }
  const document = await response.json().catch(() => null);
  if (response.status === 401 || response.status === 403) {
    throw new Unauthorized(response.status, "This token is not accepted.");
  }
  if (!response.ok && path !== "health") {
    const told = document?.error;
    const message = told?.message ?? WORDS[response.status] ?? `The service answered ${response.status}.`;
    throw new Refusal(response.status, message, told?.findings);
  }
  const timing = /dur=([\d.]+)/.exec(response.headers.get("server-timing") ?? "");
  return {
    document,
    milliseconds: performance.now() - began,
    modelMilliseconds: timing ? Number(timing[1]) : null,
  };
}

export function predictRow(values) {
  return predict(JSON.stringify({ instances: [values] }), "application/json");
}

export function predictFile(text) {
  return predict(text, "text/csv");
}

/** The same call for a shell; the token is not in it. */
export function asCurl(values) {
  const body = JSON.stringify({ instances: [values] }).replaceAll("'", "'\\''");
  return [
    `curl '${new URL("predict", document.baseURI).href}'`,
    `-H "Authorization: Bearer $TOKEN"`,
    "-H 'Content-Type: application/json'",
    `-d '${body}'`,
  ].join(" \\\n  ");
}

function predict(body, type) {
  return call("predict", { method: "POST", body, headers: { "content-type": type } });
}
