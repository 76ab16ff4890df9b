import type { Place } from "../data/files/json-place.js";

/** A value that may be absent or null. */
export function optional<Value>(place: Place, read: (place: Place) => Value): Value | undefined {
  return place.value === undefined || place.value === null ? undefined : read(place);
}

export function optionalText(place: Place): string | undefined {
  return optional(place, (given) => given.text());
}

export function optionalFlag(place: Place): boolean | undefined {
  return optional(place, (given) => given.flag());
}
