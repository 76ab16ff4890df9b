#!/usr/bin/env node
/**
 * Stands where prebuildify expects node-gyp, and puts the addon where node-gyp would. Node-API makes
 * the target version irrelevant. prebuildify strips and moves the file it finds, hence runs in a
 * folder of its own: the repository's `build/Release` stays as it is.
 */
import { resolve } from "node:path";
import { buildNative } from "./build-native.mjs";

buildNative({ out: resolve("build/Release") });
