const english = `
  about above after again against also although always another answer around asked because been before being below
  best better between both case cases change choose come compare could days decide describe design different does done
  down draft during each either else enough even every example explain find first five following four from give given
  goes good have having help here high hours include including instead into just keep know large last least less like
  list long look made make many mean mention might more most much must need needs never next nine only order other
  others over page people plan please point prepare question questions rather reason reasons right same says second
  seven several should show since small some somebody something step steps still such suggest take takes tell than
  that their them then there therefore these they thing things think third this those though three through time times
  together under understand until upon used uses using very want wants week weeks well were what when where whether
  which while whole whom whose will with within without words work works would write year years your
`
const german = `
  aber alle allem allen aller alles also andere anderen auch beim beide dabei damit dann daran darauf daraus darf
  darum dass dein deine denn deren dessen diese diesem diesen dieser dieses doch drei durch eine einem einen einer
  eines einige entwirf erkläre erst erste ersten etwa etwas fünf gegen gibt haben hast hier höchstens immer ihre ihrem
  ihren jahr jahre jeden jeder jedes kann kein keine können machen mehr mein meine meinem meinen mindestens muss
  müssen nach nicht noch oder ohne schon schreibe sehr seine seit sich sind soll sollen über unser unter viel viele
  vier vom von vor wann warum weil welche welcher wenn werden wird wie wieder wollen wurde zehn zwei zwischen zwölf
`
const french = `
  après aussi autre autres avant avec avoir cette ceux chaque cinq comme comment contre dans depuis deux dire donc
  dont elle elles encore entre explique expliquer faire fait faut jusqu leur leurs lors mais mois même moins notre
  nous pendant peut plus pour pourquoi première premier propose quand quatre quel quelle quelles quels qu rédige sans
  selon sera sont sous toujours tous tout toute toutes trois très vers voici votre vous année années
`
const spanishAndPortuguese = `
  ahora algo además antes aquí aunque cada casi como cómo cinco contra cuál cuando cuándo cuatro debe deben desde
  después donde durante ella ellos entre entonces esta está este estos estas explica hace hacer hasta haya mejor menos
  mientras mismo mucho muchos nada otra otro otros para pero poco porque primera primer puede pueden quiero quién sean
  según sido siempre sobre solo sólo también tanto tener tengo tiene tienen todo todos tres unos años ainda apenas
  assim caso com depois dois duas ela escreve essa esse estão fazer isso isto mais mesmo muito não onde outra outro
  pela pelo pode podem porquê quais qual quando quatro quero semana seus suas tenho todas uma umas você anos
`
const italian = `
  alla alle allo altre altri altro anche ancora anni anno bene che ciascuno cinque come così cosa dalla dalle degli
  della delle dello deve dopo dove durante essere fare fino gli hanno loro meno nella nelle ogni oppure perché però
  più poi prima prima primo quale quali quando quattro quella quello questa questi questo scrivi senza sono spiega
  sulla sulle tutte tutti tutto una volta
`
const dutch = `
  alle altijd andere daar daarna deze door drie drie eerst elke geen geeft geven hebben heeft hoe hun iets jaar kan
  kunnen leg maar maak meer meest met mijn moet moeten naar niet nog omdat onder onze over schrijf tegen toch tot twee
  van vier vijf voor waar waarom waarvan wanneer want welke werk wordt worden zelf zijn zonder zou zullen
`
const swedishDanishNorwegian = `
  alla alltid andra andre bara blir både denna deras dessa detta dette eller efter etter finns fler från fram förklara
  genom göra hade hans hela hennes hvad hver hvilke hvor hvordan hvorfor ikke ingen innan inte kan kommer med mellan
  mellem mere mest mindre minst måste någon något några när når också olika samma sedan siden ska skal skriv skulle
  sina sine själv till två tre under utan uten vad vara varför varje vilka vilken över även
`
const polish = `
  albo bardzo będzie bez czego cztery czym czyli dla dlaczego drugi dwa gdy gdzie ich ile inne jak jaki jakie jako
  jednak jego jest jeśli jeszcze kiedy która które którego której który których lecz można nad najwyżej napisz nie niż
  oraz pięć pod ponad przed przez przy raz sobie są tak także tego tej ten też tylko trzy ułóż więc wszystkie wyjaśnij
  żeby
`
const russian = `
  более будет было быть вам ведь весь все всех где года года для если есть ещё зачем или как какие какой когда который
  которая которые между меня может можно надо напиши нужно объясни один очень перед после потому почему при свой себя
  так также только того тоже хотя чего через что чтобы этот этого эти этой
`

/**
 * Words of four letters and more that stand in texts about anything, among them what instructions are made of. Those of
 * other languages than the text's do no harm.
 */
export const commonWords: ReadonlySet<string> = new Set(
  [english, german, french, spanishAndPortuguese, italian, dutch, swedishDanishNorwegian, polish, russian].flatMap(
    words => words.trim().split(/\s+/),
  ),
)
