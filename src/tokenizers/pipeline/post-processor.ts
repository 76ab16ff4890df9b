import type { Place } from "../../data/files/json-place.js";

/** What goes before and after the ids of a text. */
export interface Frame {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const nothing: Frame = { before: [], after: [] };

/**
 * The special tokens around a single text.
 *
 * @param place of `post_processor` in tokenizer.json, which may be null
 * @param ids   how many the vocabulary has
 */
export function readFrame(place: Place, ids: number): Frame {
  if (place.value === null || place.value === undefined) return nothing;
  const type = place
    .get("type")
    .oneOf(["TemplateProcessing", "ByteLevel", "BertProcessing", "RobertaProcessing", "Sequence"]);
  switch (type) {
    case "ByteLevel":
      return nothing; // it moves offsets only
    case "BertProcessing":
    case "RobertaProcessing":
      return { before: [idOf(place.get("cls"), ids)], after: [idOf(place.get("sep"), ids)] };
    case "Sequence":
      return place
        .get("processors")
        .list()
        .map((processor) => readFrame(processor, ids))
        .reduce(
          (inner, outer) => ({
            before: [...outer.before, ...inner.before],
            after: [...inner.after, ...outer.after],
          }),
          nothing,
        );
    case "TemplateProcessing":
      return template(place, ids);
  }
}

/** `["[CLS]", 101]` */
function idOf(place: Place, ids: number): number {
  const [, id = place.fail("a token and its id")] = place.list();
  return id.count() < ids ? id.count() : id.fail("an id of the vocabulary");
}

function template(place: Place, most: number): Frame {
  const before: number[] = [];
  const after: number[] = [];
  let ids = before;
  const single = place.get("single");
  for (const item of single.list()) {
    const special = item.get("SpecialToken");
    if (special.value !== undefined) {
      const name = special.get("id").text();
      ids.push(
        ...place
          .get("special_tokens")
          .get(name)
          .get("ids")
          .wholeNumbers(0, most - 1),
      );
    } else {
      if (item.get("Sequence").get("id").text() !== "A" || ids === after) {
        item.fail("the text itself, once");
      }
      ids = after;
    }
  }
  if (ids === before) single.fail("a template with the text in it");
  return { before, after };
}
