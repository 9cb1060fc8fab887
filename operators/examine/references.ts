/**
 * Phrases that refer to something outside the sentence, by where it should stand.
 *
 * - `above`: earlier in the instruction. `below`: later in it.
 * - `any`: anywhere in it.
 * - `given`: anywhere in it, be it in the same line behind a colon.
 * - `never`: nowhere, since an instruction can't hold it (an attachment, a picture, an earlier conversation).
 */
export type Place = 'above' | 'below' | 'any' | 'given' | 'never'

export interface Reference {
  place: Place
  pattern: RegExp
}

/** Letters with marks count: \b alone takes é for the end of a word. */
const start = '(?<![\\p{L}\\p{M}])'
const end = '(?![\\p{L}\\p{M}])'

function words(place: Place, ...sources: readonly string[]): Reference[] {
  return sources.map(source => ({ place, pattern: new RegExp(`${start}(?:${source})${end}`, 'giu') }))
}

/** For scripts without spaces, where words have no ends. */
function signs(place: Place, ...sources: readonly string[]): Reference[] {
  return sources.map(source => ({ place, pattern: new RegExp(source, 'gu') }))
}

/** In case as written: a table with a number is a name, a figure of eight is none. */
function exact(place: Place, ...sources: readonly string[]): Reference[] {
  return sources.map(source => ({ place, pattern: new RegExp(`${start}(?:${source})${end}`, 'gu') }))
}

// What is told of a text; "text" in "text message" and the like is something else.
const source =
  '(?:articles?|texts?(?! (?:fields?|box(?:es)?|editors?|files?|messages?|areas?|inputs?|books?))|passages?|excerpts?|extracts?|documents?|paragraphs?|essay|story|poem|post|reading|transcript|abstract|case study|source material)'
const held = `(?:${source}|information|data|content|context|figures?|tables?|charts?|graphs?|lists?|examples?|code|functions?|snippets?|quer(?:y|ies)|scripts?|e-?mails?|letters?|guidance|guidelines?|instructions?|rules|criteria|scenarios?|situation|descriptions?|details|facts|statements?|quotes?|quotation|sentences?|equations?|formulas?|recipes?|dialogue|conversation|prompts?|user|questions?|reports?|study|sections?|chapter|review|material|notes|minutes|problem|options|steps|numbers|values|results|findings|definitions?)`
const author = '(?:authors?|writers?|narrators?|poets?)'
const says =
  '(?:mentions?|states?|explains?|describes?|says?|argues?|discusses|discuss|suggests?|reports?|outlines?|lists?|claims?|concludes?|notes?|proposes?|emphasi[sz]es?|highlights?|recommends?|presents?|identif(?:y|ies)|provides?|refers? to|advises?|warns?|points? out)'
const told =
  '(?:shown|given|listed|described|mentioned|provided|discussed|reported|stated|cited|quoted|presented|outlined|contained|included|found|raised|made)'
const picture = '(?:figure|screenshot|chart|diagram|illustration|photo(?:graph)?|picture)'

const english: readonly Reference[] = [
  ...words(
    'above',
    `(?:the|this|these|those|that|his|her|their) (?:[\\p{L}-]+ ){0,2}?${held} (?:${told} )?(?:above|earlier)(?= (?:and|to|for|in|into|as|is|are|using|with|contains?|shows?|by)\\b|[^\\p{L}\\d ]| *$)`,
    `(?:the|this|these|those) (?:above|preceding|previous|aforementioned|foregoing)(?:-mentioned)? (?:[\\p{L}-]+ )?${held}`,
    `(?:as|${told}) (?:described |mentioned |explained |shown |stated )?above(?= *[,.;:?!]| and\\b| to\\b| *$)`,
  ),
  ...words(
    'below',
    `(?:the|this|these|those) (?:[\\p{L}-]+ ){0,2}?${held} (?:${told} )?below`,
    `(?:the|this|these|those) following (?:[\\p{L}-]+ ){0,3}?${held}`,
  ),
  ...words(
    'any',
    `(?:according to|based (?:only |solely )?on|with reference to|drawing (?:up)?on|using(?: only)?|in light of|as per|given) (?:only )?(?:the|this|these) (?:[\\p{L}-]+ )?(?:${source}|${author})`,
    `(?:the|this|these) (?:${source}|${author}) (?:also |only |then |does not |do not |doesn['’]t |fails? to )?${says}`,
    `as (?:the|this) (?:${source}|${author}) (?:${says}|does)`,
    `(?:do|does|did) the ${author}`,
    `the ${author}['’]s? (?:conclusions?|arguments?|views?|claims?|opinions?|tone|purpose|points?|advice|method)`,
    `(?:in|from|by|of|within|throughout) (?:this|these) ${source}`,
    `(?:[\\p{L}]+s|${told}|concepts?|ideas?|facts?|figures?|sentence|quotes?|evidence|examples?|information|data|only) (?:in|from) the ${source}`,
    `(?:rewrite|summari[sz]e|translate|shorten|proofread|edit|paraphrase|analy[sz]e|simplify|continue) (?:this|the) ${source}`,
    `(?:the|using|all|only) (?:[\\p{L}]+ )?(?:information|data|content|context|details|facts|material|minutes|notes|report|table|code|text|article|passage|document|excerpt|options|list|numbers) (?:that (?:is|are|was|were) )?(?:provided|given|supplied|presented)(?= *[,.;:?!]| (?:and|to|in|here|there)\\b| *$)`,
    `${told} (?:there|therein|in (?:it|them))(?= to\\b| *[,.;:?!]| *$)`,
    `(?:${told}|mean|means|says?|written|change|changes)(?: [^.?!]{0,60}?)? in the (?:first|second|third|fourth|last|final|previous|next) (?:paragraph|stanza|section|chapter|verse|line)s?`,
    `which of (?:the )?[\\p{L}-]+ (?:listed|mentioned|described) in the [\\p{L}-]+`,
    `(?<=^(?:please |can you |could you )?)(?:rewrite|reword|summari[sz]e|translate|shorten|improve|proofread|correct|fix|edit|paraphrase|rephrase|debug|review|simplify|continue) (?:this|it|these|them)(?= (?:so|in|as|to|into|for|and|with|by|like)\\b| *[,.;:?!]| *$)`,
  ),
  ...words(
    'given',
    `(?:the|this|these|those) given (?!names?\\b)[\\p{L}-]+`,
    `you (?:are|have been|['’]re) (?:given|provided with|presented with) (?:an?|the|some|two|three|several) (?:[\\p{L}-]+ ){0,2}?${held}`,
  ),
  ...words(
    'never',
    `(?:attached|enclosed) (?:[\\p{L}-]+ )?(?:reports?|files?|documents?|images?|pictures?|spreadsheets?|letters?|texts?|articles?|pdf|data|tables?|photos?|resume|cv)`,
    `in the attachment|(?:i['’]ve|i have) (?:attached|uploaded|enclosed)`,
    `as (?:we|you|i) (?:have )?(?:discussed|said|mentioned|agreed|talked about|established) (?:earlier|before|above|previously|yesterday|last time)`,
    `(?:in|from) (?:our|your) (?:previous|last|earlier) (?:conversations?|discussions?|responses?|answers?|messages?|repl(?:y|ies)|chats?)`,
    `(?:rewrite|shorten|expand|repeat|continue) your (?:previous|last|earlier) (?:responses?|answers?|messages?|repl(?:y|ies)|texts?)`,
  ),
  ...words(
    'any',
    `(?:see|look at|looking at|refer to|study|examine|observe|consider|inspect) (?:the|this|these) (?:[\\p{L}-]+ )?(?:${picture}|image|graph|map|table|plot)s?`,
    `(?:in|from|using|based on|by) (?:the|this|these) ${picture}s?(?! (?:of|skat))`,
    `(?:the|this) ${picture}s? (?:shows?|illustrates?|depicts?)`,
  ),
  ...exact(
    'any',
    '(?:[Ii]n|[Ss]ee|[Ff]rom|[Uu]sing|of|per|to|by) (?:Figure|Fig\\.|Table|Exhibit|Appendix|Listing) ?[A-Z\\d]+',
  ),
]

const german: readonly Reference[] = [
  ...words(
    'above',
    '(?:obig|vorstehend|vorangehend)\\p{L}*|oben (?:stehend|genannt|erwähnt|beschrieben|angegeben)\\p{L}*|(?:der|den|dem|des|die|das) (?:text|artikel|abschnitt|auszug|tabelle|aufgabe) oben',
  ),
  ...words('below', '(?:den|die|das|der|dem|des) (?:folgend|nachstehend)\\p{L}* \\p{L}[\\p{L}-]*'),
  ...words(
    'any',
    '(?:laut|gemäß|nach|ausgehend von|auf (?:der )?grundlage|anhand|mithilfe) (?:dem |der |des |diesem |dieses |dieser |vom )?(?:vorliegenden )?(?:text(?:es|s)?|artikels?|abschnitt(?:s|es)?|auszug(?:s|es)?|dokument(?:s|es)?|beitrag(?:s|es)?|autors?|autorin|verfassers?|verfasserin|textauszug(?:s|es)?)',
    '(?:nennt|begründet|beschreibt|meint|argumentiert|erwähnt|behauptet|empfiehlt|schlägt|erklärt) (?:der|die) (?:autor|autorin|verfasser|verfasserin|text|artikel)',
    '(?:der|die) (?:autor|autorin|verfasser|verfasserin) (?:\\p{L}+t)',
    '(?:im|in diesem|aus dem) (?:text|artikel|auszug|dokument) (?:genannt|erwähnt|beschrieben|enthalten|aufgeführt|dargestellt)\\p{L}*',
    'im (?:ersten|zweiten|dritten|vierten|letzten) absatz',
    '(?:der|die|das) vorliegende \\p{L}+',
  ),
  ...words('never', '(?:angehängt|beigefügt|beiliegend|anliegend)\\p{L}*|im anhang'),
]

const french: readonly Reference[] = [
  ...words('above', 'ci-dessus|(?:le|la|du|au) (?:texte|article|passage|document|extrait) (?:précédente?|qui précède)'),
  ...words('below', 'ci-dessous|ci-après|(?:le|la|les) (?:texte|phrase|passage|extrait|code|phrases) suivante?s?'),
  ...words(
    'any',
    "(?:d['’]après|selon|à partir (?:de|du)|en vous appuyant sur|en t['’]appuyant sur|sur la base (?:de|du)) ?(?:le |la |l['’]|ce |cet |cette |du )?(?:texte|article|document|passage|extrait|auteure?|autrice)",
    "(?:le|ce|cet|cette|l['’]) ?(?:texte|article|document|passage|extrait|auteure?|autrice) (?:mentionne|décrit|explique|affirme|indique|propose|présente|cite|évoque)",
    "dans (?:le|ce|cet|l['’]) ?(?:texte|article|document|passage|extrait)",
    "(?:arguments?|point de vue|thèse|conseils?|conclusion) de l['’](?:auteure?|autrice)",
  ),
  ...words('never', 'ci-jointe?s?|ci-contre|en pièce jointe|en annexe'),
]

const spanish: readonly Reference[] = [
  ...words(
    'above',
    '(?:texto|artículo|documento|pasaje|fragmento|párrafo|ejemplo)s? (?:anterior(?:es)?|de arriba|precedente)|(?:mencionad|citad|descrit)[oa]s? (?:arriba|anteriormente)',
  ),
  ...words('below', '(?:siguientes?|a continuación)(?: \\p{L}+)?'),
  ...words(
    'any',
    '(?:según|de acuerdo con|conforme a|a partir de|basándo(?:te|se) en|con base en) ?(?:el |la |este |esta )?(?:texto|artículo|documento|pasaje|fragmento|lectura|autora?)(?! (?:\\d|\\p{Lu}))',
    '(?:argumentos?|opinión|tesis|conclusi(?:ón|ones)|consejos?|ideas?|propuestas?) (?:del autor|de la autora|del texto|del artículo)',
    '(?:el|la) (?:autora?|texto|artículo) (?:menciona|describe|explica|afirma|indica|propone|dice|señala|sostiene)',
    '(?:en|de) (?:este|esta) (?:texto|artículo|documento|pasaje|fragmento)|(?:mencionad|descrit|citad)[oa]s? en el (?:texto|artículo|documento)',
  ),
  ...words('never', '(?:documento|archivo|texto|informe|fichero)s? adjunt[oa]s?'),
]

const italian: readonly Reference[] = [
  ...words(
    'above',
    '(?:riportat|citat|descritt|menzionat|elencat)[oaie] sopra|di cui sopra|suddett[oaie]|(?:testo|brano|articolo) (?:precedente|qui sopra)',
  ),
  ...words(
    'below',
    '(?:il|la|i|le|lo) (?:testo|brano|frase|frasi|codice|passaggio) (?:seguent[ei]|che segue)|(?:il|la|i|le) seguent[ei] \\p{L}+',
  ),
  ...words(
    'any',
    "(?:secondo|in base (?:al|allo|alla|all['’])|stando (?:al|allo|alla|all['’])|sulla base (?:del|dello|della|dell['’])) ?(?:il |lo |la |l['’]|questo |questa )?(?:testo|brano|articolo|documento|passaggio|autore|autrice)",
    "(?:il|l['’]|questo) ?(?:testo|brano|articolo|documento|autore|autrice) (?:menziona|descrive|spiega|afferma|dice|propone|sostiene|consiglia)",
    "(?:nel|dal|in questo) (?:testo|brano|documento|passaggio)|nell['’]articolo|(?:argomenti|opinione|tesi|consigli) dell['’](?:autore|autrice)",
  ),
  ...words('never', "(?:in|il|documento|file|testo) allegat[oaie]|nell['’]allegato"),
]

const portuguese: readonly Reference[] = [
  ...words(
    'above',
    '(?:texto|artigo|documento|trecho|excerto|parágrafo)s? (?:acima|anterior(?:es)?)|(?:mencionad|citad|descrit)[oa]s? acima|acima (?:mencionad|citad)[oa]s?',
  ),
  ...words(
    'below',
    '(?:texto|trecho|frase|excerto|código)s? (?:abaixo|(?:a|que se) segu(?:ir|em?)|seguintes?)|(?:o|a|os|as) seguintes? \\p{L}+',
  ),
  ...words(
    'any',
    '(?:segundo|de acordo com|conforme|com base n|a partir d) ?(?:o |a |[oa] |este |esta )?(?:texto|artigo|documento|trecho|excerto|passagem|autora?)(?! (?:\\d|\\p{Lu}))',
    '(?:o|a) (?:texto|artigo|documento|autora?) (?:menciona|descreve|explica|afirma|diz|propõe|defende|refere|indica)',
    '(?:no|neste|deste) (?:texto|artigo|trecho|excerto)|(?:argumentos?|opinião|tese|conselhos?) d[oa] autora?',
  ),
  ...words('never', 'em anexo|(?:documento|ficheiro|arquivo|texto|relatório)s? (?:em )?anex[oa]s?'),
]

const dutch: readonly Reference[] = [
  ...words('above', 'bovenstaande?|hierboven|bovengenoemde?|voorgaande (?:tekst|artikel|passage)'),
  ...words('below', '(?:de|het) (?:volgende|onderstaande) \\p{L}+|hieronder'),
  ...words(
    'any',
    '(?:volgens|op basis van|op grond van|aan de hand van|uitgaande van) (?:het|de|dit|deze) (?:artikel|tekst|document|passage|fragment|auteur|schrijver|schrijfster)',
    '(?:in|uit) (?:de|het|deze|dit) (?:tekst|artikel|document|passage|fragment) (?:worden|wordt|genoemd|beschreven|staat|staan)',
    '(?:het|de) (?:artikel|tekst|auteur|schrijver) (?:noemt|beschrijft|stelt|zegt|vermeldt|betoogt)',
    '(?:argumenten|mening|conclusie) van de (?:auteur|schrijver|schrijfster)',
  ),
  ...words('never', 'bijgevoegde?|in de bijlage'),
]

const nordic: readonly Reference[] = [
  ...words(
    'above',
    '(?:texten|artikeln|stycket|utdraget|teksten|artiklen|artikkelen) (?:ovan|ovenfor)|ovanstående|ovenstående|ovannämnda|ovennevnte',
  ),
  ...words(
    'below',
    '(?:följande|nedanstående|følgende|nedenstående) (?:text|mening|stycke|tekst|sætning|setning|kod|kode)',
  ),
  ...words(
    'any',
    '(?:enligt|utifrån|ifølge|ut fra|ud fra|baserat på) (?:den |denna |det |denne )?(?:texten|artikeln|dokumentet|stycket|utdraget|författaren|teksten|artiklen|artikkelen|forfatteren)',
    '(?:författaren|författarens|forfatteren|forfatterens)',
    '(?:nämns|beskrivs|står|nævnes|nevnes|beskrives) i (?:texten|artikeln|teksten|artiklen|artikkelen)',
  ),
  ...words('never', 'bifogade?|vedhæftede?|vedlagte?'),
]

const slavic: readonly Reference[] = [
  ...words(
    'above',
    'powyższ\\p{L}+|wyżej wymienion\\p{L}+|приведённ\\p{L}+ выше|приведенн\\p{L}+ выше|вышеуказанн\\p{L}+|вышеприведенн\\p{L}+|výše uveden\\p{L}+',
  ),
  ...words(
    'below',
    '(?:poniższ|następując)\\p{L}+ (?:tekst|zdani|fragment|kod|artykuł)\\p{L}*|следующ\\p{L}+ (?:текст|предложени|отрыв|код)\\p{L}*|следующ\\p{L}+ (?:фраз)\\p{L}*|následující\\p{L}* (?:text|větu|kód)\\p{L}*',
  ),
  ...words(
    'any',
    '(?:na podstawie|według|zgodnie z|w oparciu o) (?:tego |tym |ten )?(?:tekst|artykuł|dokument|fragment|autor)\\p{L}*',
    '(?:w|z) (?:tym |tego )?(?:tekście|artykule|fragmencie|tekstu|artykułu) (?:wymienion|opisan|podan)\\p{L}*|(?:zaleceni|argument|opini|tez)\\p{L}* autor(?:a|ki)|autor(?:ka)? (?:wymienia|opisuje|twierdzi|pisze|uważa|podaje)',
    '(?:согласно|исходя из|на основе|на основании|по) (?:этому |этого |данному )?(?:текст|стать|отрывк|документ)\\p{L}*|(?:автор|авторы) (?:пишет|пишут|утвержда|описыва|упомина|предлага)\\p{L}*|(?:в|из) (?:этом |этого )?(?:тексте|статье|статьи|отрывке)',
    '(?:podle|na základě) (?:tohoto )?(?:text|článk|dokument|úryvk|autor)\\p{L}*',
  ),
  ...words(
    'never',
    'załączon\\p{L}+|w załączniku|прикреплённ\\p{L}+|прикрепленн\\p{L}+|прилагаем\\p{L}+|přiložen\\p{L}+',
  ),
]

const unspaced: readonly Reference[] = [
  ...signs(
    'above',
    '上の(?:文章|文|記事|図|表|グラフ|内容)|上記(?:の|に|を)|前述の|上文|上述|以上(?:文章|材料|内容|文本)',
  ),
  ...signs(
    'below',
    '(?:次の|以下の|下の|下記の)(?:文章|文|記事|コード|英文|会話|表)|(?:以下|下面|下列|下述)(?:的)?(?:文章|文本|段落|句子|材料|代码|内容|短文)',
  ),
  ...signs(
    'any',
    '(?:本文|文章|記事|文中|資料)(?:によると|によれば|の中で|では|に基づ|にある)|(?:筆者|著者|作者)(?:は|の|が)|(?:根据|依据|结合|阅读)(?:本|这篇|该|此)?(?:文章|文本|短文|段落|材料|文中)|文中(?:提到|所|的)|作者(?:认为|提到|指出|如何|的|在)|(?:第[一二三四]段|最後の段落)(?:で|中|里)',
  ),
  ...signs('never', '添付(?:の|した|され)|附件|如[上下]?图|图中|図(?:の中|に示)'),
]

/** In every language that is known here, since a phrase of one is none of another. */
export const references: readonly Reference[] = [
  ...english,
  ...german,
  ...french,
  ...spanish,
  ...italian,
  ...portuguese,
  ...dutch,
  ...nordic,
  ...slavic,
  ...unspaced,
]
