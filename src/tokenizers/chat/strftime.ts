const two = (value: number): string => String(value).padStart(2, "0");
const name = (date: Date, options: Intl.DateTimeFormatOptions): string =>
  new Intl.DateTimeFormat("en-US", options).format(date);

const fields: Readonly<Record<string, (date: Date) => string>> = {
  "%": () => "%",
  A: (date) => name(date, { weekday: "long" }),
  a: (date) => name(date, { weekday: "short" }),
  B: (date) => name(date, { month: "long" }),
  b: (date) => name(date, { month: "short" }),
  d: (date) => two(date.getDate()),
  H: (date) => two(date.getHours()),
  I: (date) => two(date.getHours() % 12 || 12),
  M: (date) => two(date.getMinutes()),
  m: (date) => two(date.getMonth() + 1),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  S: (date) => two(date.getSeconds()),
  Y: (date) => String(date.getFullYear()),
  y: (date) => two(date.getFullYear() % 100),
};

/** A moment in local time as Python writes it, in English: `%d %B %Y`. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(.?)/gs, (code, letter: string) => {
    const field = fields[letter];
    if (field === undefined) throw new Error(`strftime_now does not know ${code}`);
    return field(date);
  });
}
