// How long to wait before trying again: longer each time, and never in step with the other pages.

export const FIRST_SECONDS = 1;
export const LONGEST_SECONDS = 30;

/**
 * Seconds until the next try: between half and all of a bound that doubles, and never less than the server asks for.
 * @param {number} failures
 * @param {number} chance
 */
export function delay(failures, chance, asked = 0) {
  const bound = Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** (failures - 1));
  return Math.max(asked, bound / 2 + (chance * bound) / 2);
}
