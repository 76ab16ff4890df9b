import type { ExecutionContext } from "ava";
import { PreparedData, type Split, type SplitOptions, split } from "../../src/data/index.js";
import { type FolderContent, preparedFolder } from "../data/prepared/prepared-folder.js";

/** Invented data, open while the test runs. */
export async function openData(t: ExecutionContext, content: FolderContent): Promise<PreparedData> {
  const data = await PreparedData.open(await preparedFolder(t, content));
  t.teardown(() => data.close());
  return data;
}

export async function openSplit(
  t: ExecutionContext,
  content: FolderContent,
  options: SplitOptions,
): Promise<Split & { data: PreparedData }> {
  const data = await openData(t, content);
  return { data, ...(await split(data, options)) };
}
