const pattern =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/;

/**
 * Milliseconds since 1970 of a date or a date and time in ISO 8601; undefined for anything else. Without a zone it is
 * UTC, so that the result depends on the text alone. A blank may stand for the `T`. Digits after the millisecond are cut.
 */
export function parseIsoTime(text: string): number | undefined {
  const parts = pattern.exec(text);
  if (parts === null) return undefined;
  const [year, month, day, hour, minute, second] = parts
    .slice(1, 7)
    .map((part) => Number(part ?? 0)) as [number, number, number, number, number, number];
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day); // Date.UTC would read year 12 as 1912
  // 31 April would turn into 1 May.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const offset = minutesOf(parts[8]);
  if (offset === undefined) return undefined;
  const milliseconds = Number((parts[7] ?? "").slice(0, 3).padEnd(3, "0"));
  return date.setUTCHours(hour, minute - offset, second, milliseconds);
}

/** Minutes ahead of UTC. */
function minutesOf(zone: string | undefined): number | undefined {
  if (zone === undefined || zone === "Z") return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(":", "") || 0);
  if (hours > 23 || minutes > 59) return undefined;
  return (zone[0] === "-" ? -1 : 1) * (60 * hours + minutes);
}
