/**
 * Every error that the page raises on purpose; its text says what happened, then what to do.
 * ModelError     a file that is damaged, foreign, or breaks the contract
 * ProviderError  a provider that this browser does not have, or that draws wrong
 * InputError     a number, seed or count out of range
 */
export class PageError extends Error {}
export class ModelError extends PageError {}
export class ProviderError extends PageError {}
export class InputError extends PageError {}
