import type { Module } from "../nn/index.js";

/** Remembers which parts of a model are training; what it returns puts them back, each as it was. */
export function rememberModes(model: Module): () => void {
  const modes = new Map<Module, boolean>();
  const visit = (module: Module): void => {
    modes.set(module, module.training);
    for (const child of module.children()) if (!modes.has(child)) visit(child);
  };
  visit(model);
  return () => {
    for (const [module, training] of modes) module.training = training;
  };
}
