import { extract } from './operators/extract.ts'
import { Drop } from './operators/operator.ts'
const opt={...extract.options.parse({}),maximumCharacters:30e6}
const p='<p>This is a paragraph, with commas, and some words that say a little about nothing at all.</p>'
const cases={
 divs100k:'<div>'.repeat(1e5)+p.repeat(10)+'</div>'.repeat(1e5),
 divsDefault:'<div>'.repeat(1e6),
 spans:'<span>'.repeat(5e4)+'text '.repeat(100),
 deep500:'<div>'.repeat(500)+p.repeat(2000)+'</div>'.repeat(500),
 big20MB:'<html><body>'+p.repeat(2e5)+'</body></html>',
 big5MB:'<html><body>'+p.repeat(5e4)+'</body></html>',
 big5Nested:'<html><body>'+('<div><div>'+p.repeat(10)+'</div></div>').repeat(5e3)+'</body></html>',
 textOnly:'<html><body>'+'word, '.repeat(8e5)+'</body></html>',
 brs:'<html><body>'+'word, text<br>'.repeat(3e5)+'</body></html>',
 lis:'<html><body><ul>'+'<li>item, text</li>'.repeat(2e5)+'</ul></body></html>',
 table:'<html><body><table>'+('<tr>'+'<td>cell text</td>'.repeat(20)+'</tr>').repeat(1e4)+'</table>'+p.repeat(20),
 links:'<html><body>'+'<a href="/x">link text</a> '.repeat(1e5)+'</body></html>',
 emptyDivs:'<html><body>'+'<div></div>'.repeat(3e5)+p.repeat(20)+'</body></html>',
 lt:'<'.repeat(4e6), amp:'&'.repeat(4e6)+p, attrs:'<div '+'a=b '.repeat(5e5)+'>'+p.repeat(10), comment:'<!--'.repeat(1e6),
 openp:'<p>text, and more'.repeat(2e5), openb:'<b>text '.repeat(2e5), tables:'<table><tr><td>'.repeat(2e4),
 spacesPre:'<pre>'+' '.repeat(4e6)+'x</pre>'+p.repeat(10), titlespace:'<title>'+' '.repeat(3e6)+'x</title>'+p.repeat(10), ttl2:'<title>'+'a - '.repeat(1e6)+'</title>'+p.repeat(10), hs:('<h1>a</h1>').repeat(2e5)+p.repeat(9),
 script:'<script>'+'x<y;'.repeat(1e6)+'</script>'+p.repeat(10), longword:'<p>'+'a'.repeat(4e6)+'</p>', spacesp:'<p>'+' '.repeat(4e6)+'x</p>'+p.repeat(9),style:'<p style="'+'a:b;'.repeat(5e5)+'">x</p>'+p.repeat(9),cls:('<div class="'+'comment '.repeat(1e4)+'">x</div>').repeat(40)+p.repeat(9), ld:'<script type="application/ld+json">'+'['.repeat(2e6)+'</script>'+p.repeat(9), svg:'<svg>'+'<g>'.repeat(300)+'</svg>'+p.repeat(9), metas:'<html><head>'+'<meta property="og:title x" content="y">'.repeat(1e5)+'</head><body>'+p.repeat(9),
 frameset:'<html><frameset></frameset></html>', nul:'\0'.repeat(1000)+p, bodies:'<body>'.repeat(1e4)+p.repeat(9), htmls:'<html>'.repeat(1e3)+p.repeat(9), doctype:'<!doctype '.repeat(2e5), metaRe:'<meta '.repeat(5e5), titles:'<title>a</title>'.repeat(2e5)+p.repeat(9), baselink:'<link rel=x>'.repeat(2e5)+p.repeat(9),nest:('<div>'.repeat(50)+'text, more text here</div>').repeat(3000)
}
const only=process.argv.slice(2)
for(const [n,html] of Object.entries(cases)){ if(only.length&&!only.includes(n))continue
 const c=process.cpuUsage();let r
 try{const x=await extract.apply({id:'p',url:null,title:null,content:html,format:'html',source:null},{id:'p',options:opt});r=x instanceof Drop?x.reason+' '+x.details.detail:'article '+x[0].text.length+' '+JSON.stringify(x[0].text.slice(0,40))+' '+x[0].title?.slice(0,20)}catch(e){r=(e.code??e.name)+' '+e.message.slice(0,150)+(e.code?'':e.stack.slice(0,400))}
 const u=process.cpuUsage(c);console.log(n,(html.length/1e6).toFixed(1)+'M',((u.user+u.system)/1e6).toFixed(2)+'s',(process.memoryUsage().rss/1e6|0)+'MB',r)}
