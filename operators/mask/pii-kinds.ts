/** Personal data that can be told by its form; what is found as one kind is not looked at for those behind it. */
export const piiKinds = ['email', 'iban', 'card', 'ip', 'phone'] as const

export type PiiKind = (typeof piiKinds)[number]
