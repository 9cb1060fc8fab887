/** A worked example of the method: a document, the situation made from it and the instruction made from both. */
export interface Demonstration {
  /** Hash of all other fields. */
  id: string
  /** Such as law, cooking, software. */
  domain: string
  /** The document, or the part of it that matters. */
  document: string
  user: string
  motivation: string
  scene: string
  ability: string
  knowledge: string
  extraInformation: string
  output: string
  /** Notes before the instruction: what makes it hard, what of the document it must carry. */
  thought: string
  instruction: string
}

/** A fixed set of demonstrations, named by the hash of its content. */
export interface DemonstrationSnapshot {
  readonly hash: string
  /** JSON of the demonstrations: what `hash` is the hash of. */
  readonly text: string
  readonly demonstrations: readonly Demonstration[]
  /** Draws without replacement; the order depends on (record id, snapshot hash) alone. */
  draw(recordId: string, count: number): readonly Demonstration[]
}
