import { describe, expect, it } from 'vitest'
import { detectLanguage } from '../../operators/language.ts'

const samples: Record<string, string> = {
  en: 'The committee met on Tuesday to discuss how the new bridge should be paid for.',
  de: 'Der Ausschuss hat am Dienstag besprochen, wie die neue Brücke bezahlt werden soll.',
  fr: 'Le comité s’est réuni mardi pour discuter du financement du nouveau pont.',
  es: 'El comité se reunió el martes para hablar de cómo se pagará el nuevo puente.',
  pt: 'A comissão reuniu-se na terça-feira para discutir como a nova ponte será paga.',
  it: 'Il comitato si è riunito martedì per discutere come pagare il nuovo ponte.',
  nl: 'De commissie kwam dinsdag bijeen om te bespreken hoe de nieuwe brug betaald moet worden.',
  pl: 'Komisja spotkała się we wtorek, aby omówić, jak zapłacić za nowy most.',
  cs: 'Výbor se v úterý sešel, aby projednal, jak bude nový most zaplacen.',
  tr: 'Komite salı günü yeni köprünün nasıl ödeneceğini görüşmek için toplandı.',
  ru: 'Комитет собрался во вторник, чтобы обсудить, как будет оплачен новый мост.',
  uk: 'Комітет зібрався у вівторок, щоб обговорити, як буде оплачено новий міст.',
  el: 'Η επιτροπή συνεδρίασε την Τρίτη για να συζητήσει πώς θα πληρωθεί η νέα γέφυρα.',
  ar: 'اجتمعت اللجنة يوم الثلاثاء لمناقشة كيفية دفع تكاليف الجسر الجديد.',
  he: 'הוועדה התכנסה ביום שלישי כדי לדון כיצד ישולם הגשר החדש.',
  hi: 'समिति की बैठक मंगलवार को हुई, जिसमें नए पुल के भुगतान पर चर्चा हुई।',
  zh: '委员会星期二开会，讨论新桥的费用应该如何支付。',
  ja: '委員会は火曜日に集まり、新しい橋の費用をどう払うかを話し合いました。',
  ko: '위원회는 화요일에 모여 새 다리의 비용을 어떻게 낼지 논의했다.',
  th: 'คณะกรรมการประชุมเมื่อวันอังคารเพื่อหารือเรื่องการจ่ายค่าสะพานใหม่',
  vi: 'Ủy ban đã họp vào thứ Ba để thảo luận về cách trả tiền cho cây cầu mới.',
  id: 'Komite itu bertemu pada hari Selasa karena jembatan baru itu harus dibayar, dan mereka bilang bahwa dananya bisa kurang.',
  ms: 'Jawatankuasa itu bermesyuarat pada hari Selasa kerana jambatan baharu itu perlu dibayar, dan ia boleh ditangguhkan.',
}

describe('detectLanguage', () => {
  it.each(Object.entries(samples))('tells %s by one sentence', async (language, text) => {
    expect(await detectLanguage(text)).toBe(language)
  })

  it.each(['', '   ', '12345 67 89', '{ "a": [1, 2] }', '===---===', '😀😀😀', '\ud800\udc00\udfff'])(
    'gives null where it can not be told: %j',
    async text => {
      expect(await detectLanguage(text)).toBeNull()
    },
  )

  it('looks past code, tags and addresses at the prose', async () => {
    const code = '```js\nconst value = await fetch(url).then(response => response.json())\n```\n'
    const link = '[hier](https://example.org/the/english/path/that/is/quite/long) '
    expect(await detectLanguage(code.repeat(20) + link.repeat(5) + samples.de)).toBe('de')
  })

  it('looks at all of a long text, not at its beginning alone', async () => {
    const menu = 'Home About Contact Login Search. '
    expect(await detectLanguage(menu + `${samples.fr} `.repeat(2_000))).toBe('fr')
  })

  it.each(['`', '<', '](', '{{', '```\n', 'a/', 'http://'])('reads 5 MB of %j in bounded time', async piece => {
    await detectLanguage(piece.repeat(5_000_000 / piece.length))
  })
})
