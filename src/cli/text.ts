/** How numbers and texts are written for people. */

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;
const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const colours = /\x1b\[[0-9;]*m/g;
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;
const digits = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

/** Text of any origin as one line without control characters: a title cannot move the cursor. */
export const visible = (text: string): string =>
  text.replace(controls, (run) => (/^[\t\r\n]+$/.test(run) ? " " : "\ufffd"));

/** Text of several lines that can do nothing to a terminal but fill it. */
export const harmless = (text: string): string =>
  text.replaceAll("\r", "").replace(/[^\P{Cc}\t\n]+/gu, "\ufffd");

/** Columns of a terminal that a text takes; colours take none. */
export function width(text: string): number {
  let columns = 0;
  for (const character of text.replace(colours, "")) {
    if (!zeroWidth.test(character)) columns += wide.test(character) ? 2 : 1;
  }
  return columns;
}

/** At most `columns` wide, with an ellipsis where something was cut. Without colours. */
export function truncate(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let kept = "";
  let used = 1;
  for (const character of text) {
    used += width(character);
    if (used > columns) break;
    kept += character;
  }
  return columns < 1 ? "" : `${kept}…`;
}

/** `13,812,345` */
export const count = (value: number): string => digits.format(value);

/** `533 MB`, by powers of 1000 as disks and networks are sold. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 || scaled >= 99.95 ? scaled.toFixed(0) : scaled.toPrecision(3)} ${units[unit]}`;
}

/** `0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min` */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const padded = (value: number) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${padded(Math.floor((whole % 3600) / 60))} min`;
}

/** `42 %` */
export const percent = (share: number): string => `${Math.floor(share * 100)} %`;
