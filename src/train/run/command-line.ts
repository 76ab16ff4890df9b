import { holdsSecret, isSecretName, redacted, redactText } from "./secrets.js";

/**
 * A command as one line that can be pasted into a POSIX shell, without its secrets.
 *
 *     commandLine(["user-llm", "pretrain", "--name", "my run", "--token", "hf_..."])
 *     // user-llm pretrain --name 'my run' --token REDACTED
 *
 * @param words the program first
 */
export function commandLine(words: readonly string[]): string {
  return redactCommand(words).map(quote).join(" ");
}

/** The words of a command without secrets, each in its place. */
export function redactCommand(words: readonly string[]): string[] {
  let option: string | undefined;
  return words.map((word) => {
    // An option takes the next word even if that looks like an option.
    const secret = option !== undefined && holdsSecret(option, word);
    option = undefined;
    if (secret) return redacted;
    const parts = /^(-{0,2}[\w.-]+)=([^]*)$/.exec(word);
    if (parts === null) {
      option = /^--?[A-Za-z][\w.-]*$/.test(word) ? word : undefined;
      return redactText(word);
    }
    const [, name = "", value = ""] = parts;
    return redactAssignment(name, value);
  });
}

/** `--token=abc`, `HF_TOKEN=abc`, and `--set=hub.token=abc`, where the name is the second one. */
function redactAssignment(name: string, value: string): string {
  if (holdsSecret(name, value)) return `${name}=${redacted}`;
  const inner = /^([\w.-]+)=([^]*)$/.exec(value);
  const kept =
    inner !== null && holdsSecret(inner[1]!, inner[2]!)
      ? `${inner[1]}=${redacted}`
      : redactText(value);
  return isSecretName(name) ? `${name}=${redacted}` : `${name}=${kept}`;
}

/** A word as a POSIX shell reads it; control characters are shown, so that the line stays one line. */
function quote(word: string): string {
  if (/^[\w@%+:,./-][\w@%+=:,./-]*$/.test(word)) return word;
  if (!/[\u0000-\u001f\u007f]/.test(word)) return `'${word.replaceAll("'", "'\\''")}'`;
  const escaped = word.replace(/[\\']/g, "\\$&").replace(/[\u0000-\u001f\u007f]/g, (control) => {
    return `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `$'${escaped}'`;
}
