export { type FavouriteCard, type FavouriteOptions, favourite } from "./favourite.js";
export { itemText } from "./item-texts.js";
export { type NextItemCard, type NextItemOptions, nextItem } from "./next-item.js";
export { type ReviewCard, type ReviewOptions, review } from "./review.js";
export type { Choices, Example, Examples, Task, TaskCard } from "./task.js";
