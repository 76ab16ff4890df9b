/** What must not be written where others may read it: tokens, passwords, keys. Rather too much than too little. */

/** Stands in place of a secret; needs no quotes in a shell. */
export const redacted = "REDACTED";

/** A name with such a word holds a secret, whatever its value. */
const secretWord =
  /^(?:pwd|pass|auth|authorization|authentication|bearer|cookie|signature|sig|jwt|pat|pin|otp)$|token$|password|passwd|passphrase|secret|credential|(?:api|access|private)key$/;
/** A name that ends in one of these is not the secret itself: `--api-key-env NAME`. */
const aboutSecrets = new Set("env file path folder dir name type length limit count".split(" "));
/** With `key` after them, a secret: `api-key`, `AWS_SECRET_ACCESS_KEY`. */
const secretKeys = new Set("api access secret private auth encryption signing account".split(" "));
const suspicious = /key|secret|token|pass|credential|auth|bearer|cookie/i;

/** Tokens that are known by their looks. */
const knownTokens = [
  /\bhf_[A-Za-z0-9]{8,}/g,
  /\b(?:sk|pk|rk)[-_][A-Za-z0-9][\w-]{7,}/g,
  /\b(?:gh[a-z]|github_pat|glpat|npm|pypi|xox[a-z]|dop_v1|nvapi|gsk|r8)[-_][\w-]{8,}/g,
  /\b(?:AKIA|ASIA)[0-9A-Z]{12,}/g,
  /\bAIza[\w-]{20,}/g,
  /\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
];
const schemes = [
  /\b(Bearer)(\s+|%20)[^\s"',;]+/gi,
  /\b(Basic|Token)(\s+|%20)(?=\S*[\dA-Z+/=])[\w+/=.-]{12,}/g,
];
const headers =
  /((?:Proxy-)?Authorization|(?:Set-)?Cookie|X-[\w-]*(?:Key|Token|Secret)[\w-]*)(\s*:\s*)[^\r\n]+/gi;
/** `user:password@`, the password with slashes too; or whatever else stands before an `@`. */
const userInUrl = /([a-z][a-z0-9+.-]*:\/\/)(?:[^\s/?#:@]*:[^\s@]+|[^\s/?#]*)@/gi;
const queryValue = /([?&;#])([^\s=&#;?]+)=([^\s&#;"']*)/g;
/** `name=value`, `name: value`, `"name": "value"`, and the latter within a string. */
const assignment =
  /(\\*["']|(?<![\w.-]))([\w.-]+)\1(\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|'[^']*'?|\\+"[^"\\]*\\*"?|(?![{[])[^\s,;&}\]"'\\]+)/g;

/** A text of any origin without its secrets. */
export function redactText(text: string): string {
  let result = text.replace(userInUrl, `$1${redacted}@`).replace(headers, `$1$2${redacted}`);
  for (const scheme of schemes) result = result.replace(scheme, `$1$2${redacted}`);
  for (const token of knownTokens) result = result.replace(token, redacted);
  result = result.replace(queryValue, (whole, before: string, name: string, value: string) =>
    holdsSecret(decoded(name), decoded(value)) ? `${before}${name}=${redacted}` : whole,
  );
  return redactAssignments(result);
}

function redactAssignments(text: string): string {
  return text.replace(assignment, (_, quote: string, name: string, is: string, value: string) => {
    const secret = holdsSecret(name, unquoted(value));
    return `${quote}${name}${quote}${is}${secret ? redacted : redactAssignments(value)}`;
  });
}

/** Whether a value under this name is a secret: by the name, or by a name that hints at one and the value's looks. */
export function holdsSecret(name: string, value: string): boolean {
  if (value === "" || value === redacted) return false;
  return isSecretName(name) || (suspicious.test(name) && looksRandom(value));
}

/** Whether what has this name is secret, whatever it is: `hfToken`, `HF_TOKEN`, `--api-key`. */
export function isSecretName(name: string): boolean {
  const words = wordsOf(name);
  if (aboutSecrets.has(words.at(-1) ?? "")) return false;
  return words.some(
    (word, i) => secretWord.test(word) || (word === "key" && secretKeys.has(words[i - 1] ?? "")),
  );
}

/** Any value without secrets, all the way down. */
export function redactValue(value: unknown, name = ""): unknown {
  if (typeof value === "string") return holdsSecret(name, value) ? redacted : redactText(value);
  if (Array.isArray(value)) return value.map((part) => redactValue(part, name));
  if (typeof value !== "object" || value === null) {
    return value !== undefined && value !== null && isSecretName(name) ? redacted : value;
  }
  const entries = Object.entries(value).map(([key, part]) => {
    return [redactText(key), redactValue(part, isSecretName(name) ? name : key)] as const;
  });
  return Object.fromEntries(entries);
}

/** `maxNewTokens`, `HF_TOKEN`, `a.secret-key` as words in lower case. */
function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== "");
}

/** Long, and unlike a word, a path or the name of a model: nobody chose it for being readable. */
function looksRandom(value: string): boolean {
  if (value.length < 16 || /\s/.test(value)) return false;
  if (/^[0-9a-f-]+$/i.test(value) && /\d/.test(value)) return true;
  if (!/[/\\.:_-]/.test(value) && entropy(value) >= 3.3) return true;
  const kinds = [...value].map(kindOf).filter((kind) => kind !== undefined);
  const changes = kinds.filter((kind, i) => i > 0 && kind !== kinds[i - 1]).length;
  return changes / kinds.length >= 0.35;
}

function kindOf(character: string): "lower" | "upper" | "digit" | undefined {
  if (/[a-z]/.test(character)) return "lower";
  if (/[A-Z]/.test(character)) return "upper";
  return /[0-9]/.test(character) ? "digit" : undefined;
}

/** Bits a character, by how often each occurs. */
function entropy(value: string): number {
  const counts = new Map<string, number>();
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / value.length);
  return bits / value.length;
}

const unquoted = (value: string): string => value.replace(/^(\\*["'])(.*?)\1?$/s, "$2");

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
