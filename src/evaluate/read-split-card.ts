import type { Place } from "../data/files/json-place.js";
import type { SplitCard, SplitDecisions, SplitPart } from "../data/index.js";

/** The card of a split in a file that is not trusted. */
export function readSplitCard(place: Place): SplitCard {
  const data = place.get("data");
  return {
    fingerprint: place.get("fingerprint").hash(),
    data: {
      fingerprint: data.get("fingerprint").hash(),
      title: data.get("title").text(),
      events: data.get("events").count(),
      users: data.get("users").count(),
      items: data.get("items").count(),
    },
    decisions: decisionsOf(place.get("decisions")),
    train: partOf(place.get("train")),
    validation: place.get("validation").orNull(partOf),
    test: partOf(place.get("test")),
    usersNotTested: place.get("usersNotTested").count(),
    periodsOverlap: place.get("periodsOverlap").flag(),
  };
}

/** JSON leaves out what is undefined. */
const optional = <T>(place: Place, read: (place: Place) => T): T | undefined =>
  place.value === undefined ? undefined : read(place);

function decisionsOf(place: Place): SplitDecisions {
  return {
    windows: place.get("windows").oneOf(["full", "padded"]),
    length: place.get("length").count(),
    minHistory: place.get("minHistory").count(),
    strategy: place.get("strategy").oneOf(["leave-last-out", "temporal"]),
    validation: place.get("validation").flag(),
    stride: place.get("stride").count(),
    temporal: optional(place.get("temporal"), (temporal) => ({
      validationFrom: temporal.get("validationFrom").integer(),
      testFrom: temporal.get("testFrom").integer(),
      targets: temporal.get("targets").oneOf(["all", "first", "last"]),
    })),
    disjointUsers: optional(place.get("disjointUsers"), (users) => ({
      testShare: users.get("testShare").number(),
      validationShare: users.get("validationShare").number(),
      seed: users.get("seed").count(),
    })),
  };
}

function partOf(place: Place): SplitPart {
  const text = (value: Place): string => value.text();
  return {
    windows: place.get("windows").count(),
    users: place.get("users").count(),
    from: place.get("from").orNull(text),
    to: place.get("to").orNull(text),
    tiedTargets: place.get("tiedTargets").count(),
    coldTargets: place.get("coldTargets").count(),
  };
}
