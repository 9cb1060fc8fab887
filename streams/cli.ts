#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { boundHeap } from './heap.ts'

// Compiled code is kept between runs, which halves the time to start; so everything else is loaded after this.
enableCompileCache()
boundHeap()
await import('./main.ts')
