declare module 'minhash' {
  export class Minhash {
    constructor(options?: { numPerm?: number; seed?: number })
    hashvalues: number[]
    permA: number[]
    permB: number[]
    readonly maxHash: number
    hash(text: string): number
    update(text: string): void
    inithashvalues(): void
  }
}
