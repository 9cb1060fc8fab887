import { defineConfig } from 'vitest/config'
import { leftOutWithoutServices } from './tests/services/left-out.ts'

export default defineConfig({
  plugins: [leftOutWithoutServices()],
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/services/global-setup.ts'],
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
