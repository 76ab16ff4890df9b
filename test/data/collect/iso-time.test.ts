import test from "ava";
import fc from "fast-check";
import { parseIsoTime } from "../../../src/data/collect/iso-time.js";

test("reads dates and times, in UTC unless they say otherwise", (t) => {
  const cases: [string, string][] = [
    ["2019-11-21", "2019-11-21T00:00:00.000Z"],
    ["2019-11-21T17:05", "2019-11-21T17:05:00.000Z"],
    ["2019-11-21 17:05:09", "2019-11-21T17:05:09.000Z"],
    ["2019-11-21T17:05:09Z", "2019-11-21T17:05:09.000Z"],
    ["2019-11-21T17:05:09.5Z", "2019-11-21T17:05:09.500Z"],
    ["2019-11-21T17:05:09,123456789+02:00", "2019-11-21T15:05:09.123Z"],
    ["2019-11-21T01:05:09+0530", "2019-11-20T19:35:09.000Z"],
    ["2019-12-31T23:30-01", "2020-01-01T00:30:00.000Z"],
    ["2020-02-29", "2020-02-29T00:00:00.000Z"],
    ["0012-01-01", "0012-01-01T00:00:00.000Z"],
    ["1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"],
  ];
  for (const [text, expected] of cases)
    t.is(new Date(parseIsoTime(text)!).toISOString(), expected, text);
});

test("refuses what is no such time", (t) => {
  const texts = [
    "",
    "2019",
    "2019-11",
    "21.11.2019",
    "11/21/2019",
    "2019-13-01",
    "2019-00-01",
    "2019-02-29",
    "2019-04-31",
    "2019-11-00",
    "2019-11-21T24:00",
    "2019-11-21T17:60",
    "2019-11-21T17:05:60",
    "2019-11-21T17",
    "2019-11-21T",
    "2019-11-21Z",
    "2019-11-21T17:05:09+24:00",
    "2019-11-21T17:05:09 Z",
    " 2019-11-21",
    "2019-11-21\n",
    "1574355909",
    "2019-11-21T17:05:09.Z",
    "2019-11-21T17:05:09.1234567890Z",
    "２０１９-11-21",
  ];
  for (const text of texts) t.is(parseIsoTime(text), undefined, text);
});

test("reads what toISOString writes (property)", (t) => {
  const date = fc.date({
    min: new Date("0000-01-01"),
    max: new Date("9999-12-31"),
    noInvalidDate: true,
  });
  fc.assert(fc.property(date, (date) => t.is(parseIsoTime(date.toISOString()), date.getTime())));
});
