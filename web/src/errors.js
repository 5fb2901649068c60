/**
 * The errors that the page expects. The message says what is wrong, then what to do.
 * ModelError     the file is damaged, is not a cgan model, or breaks the contract
 * ProviderError  the browser lacks the provider, or the provider generates wrong images
 * InputError     a number, seed or count is out of range
 */
export class PageError extends Error {}
export class ModelError extends PageError {}
export class ProviderError extends PageError {}
export class InputError extends PageError {}
