import { existsSync } from "node:fs";
import { join } from "node:path";
import type { EncoderFamily } from "../models/index.js";
import { runFiles } from "../train/run/run-files.js";
import { pretrain } from "./pretrain.js";
import type { RunTrial } from "./sweep.js";

/** A trial of a sweep over pretraining: nothing looks at the test. */
export const pretrainTrial =
  (custom?: readonly EncoderFamily[]): RunTrial =>
  async (config, folder, { resume, signal, onProgress }) => {
    const isThere = existsSync(join(folder, runFiles.environment));
    const { reason, validation, steps } = await pretrain(config, {
      ...{ folder, custom, signal, onProgress },
      resume: resume && isThere,
      test: false,
    });
    if (reason === "aborted") throw signal.reason;
    return { validation, steps };
  };
