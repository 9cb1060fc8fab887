import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { messageOf, SituError } from '../../schemas/errors.ts'

/** @throws {SituError} INPUT_UNREADABLE, naming flag and file. */
export function readText(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SituError('INPUT_UNREADABLE', `${flag} ${path}: ${messageOf(cause)}`, { cause })
  }
}

/**
 * Certificates in PEM. Node passes over a CA file without any, and then trusts its own; the brokers would seem to be away
 * where one of our side can't be used.
 *
 * @throws {SituError} INPUT_UNREADABLE; CONFIGURATION_INVALID, naming flag and file.
 */
export function readCertificates(flag: string, path: string): string {
  const text = readText(flag, path)
  try {
    new X509Certificate(text)
  } catch (cause) {
    throw new SituError('CONFIGURATION_INVALID', `${flag} ${path}: holds no certificate in PEM`, { cause })
  }
  return text
}

/**
 * The key of a certificate that was read.
 *
 * @throws {SituError} INPUT_UNREADABLE; CONFIGURATION_INVALID for one that is encrypted, or of another certificate.
 */
export function readKey(flag: string, path: string, certificate: string): string {
  const key = readText(flag, path)
  try {
    createSecureContext({ cert: certificate, key })
  } catch (cause) {
    const rule = 'no key in PEM, without a passphrase, of the client certificate'
    throw new SituError('CONFIGURATION_INVALID', `${flag} ${path}: ${rule}: ${messageOf(cause)}`, { cause })
  }
  return key
}
