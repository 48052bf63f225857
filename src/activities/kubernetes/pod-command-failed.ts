/** A command in a pod that did not do what it was to do. */
export class PodCommandFailed extends Error {}
