import { ConfigError } from "../../errors.js";
import { featureNameFault } from "../feature.js";
import type { Source } from "../source.js";

/** @throws ConfigError when a source declares features with names that a prepared folder cannot hold */
export function checkFeatures({ title, events, items }: Source): void {
  const seen = new Map<string, string>();
  const features = [
    ...Object.entries(events.mapping.features),
    ...Object.entries(items?.mapping.features ?? {}),
  ];
  for (const [name, { column }] of features) {
    const blame = (rule: string) => new ConfigError(`${title}: feature "${name}" ${rule}`);
    const fault = featureNameFault(name);
    if (fault !== undefined) throw blame(fault);
    // JavaScript does not know the types.
    if (typeof column !== "string" && typeof column !== "number") {
      throw blame(`needs a column: a name, or a place from 0; got ${typeof column}`);
    }
    // Each has a file of its own, and not every file system tells capitals from small letters.
    const other = seen.get(name.toLowerCase());
    if (other === name) throw blame("is declared for events and for items; give one another name");
    if (other !== undefined) throw blame(`differs from "${other}" in capitals only`);
    seen.set(name.toLowerCase(), name);
  }
  if (events.mapping.time !== undefined && events.mapping.position !== undefined) {
    throw new ConfigError(`${title}: events have a time or a position, not both`);
  }
}
