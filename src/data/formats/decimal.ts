const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
/** 10^0 ... 10^22: those a double holds exactly. */
const powersOfTen = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));
const mostExactDigits = 15;

const plus = 0x2b;
const minus = 0x2d;
const point = 0x2e;
const zero = 0x30;

/** The finite decimal number that a text is, to its last character but for spaces around it; else undefined. */
export function parseDecimal(text: string): number | undefined {
  const bare = text.replace(/^ +| +$/g, "");
  if (!decimal.test(bare)) return undefined;
  const number = Number(bare);
  return Number.isFinite(number) ? number : undefined;
}

/**
 * `parseDecimal` of the ASCII in `bytes` from `start` to `end`, without a text where the number is short: up to 15
 * digits and a power of ten are exact as doubles, so one division rounds as `Number` does.
 */
export function parseDecimalBytes(bytes: Buffer, start: number, end: number): number | undefined {
  let i = start;
  const first = bytes[i];
  if (first === minus || first === plus) i++;
  let digits = 0;
  let value = 0;
  let decimals = -1; // before the point
  for (; i < end; i++) {
    const byte = bytes[i]!;
    const digit = byte - zero;
    if (digit >= 0 && digit <= 9) {
      value = 10 * value + digit;
      digits++;
      if (decimals >= 0) decimals++;
    } else if (byte === point && decimals < 0) {
      decimals = 0;
    } else {
      return parseDecimal(bytes.toString("latin1", start, end));
    }
  }
  if (digits === 0 || digits > mostExactDigits)
    return parseDecimal(bytes.toString("latin1", start, end));
  if (decimals > 0) value /= powersOfTen[decimals]!;
  return first === minus ? -value : value;
}
