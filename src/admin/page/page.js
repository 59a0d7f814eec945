// SPDX-License-Identifier: MIT
// Asks for status.json every two seconds and shows it. What is to be seen is built anew each time
// and then laid over what is there, so that focus, selection and scrolling stay where they are.
// Text of the server only ever becomes the data of a text node or the value of an attribute.
'use strict'
const $ = id => document.getElementById(id)
const {floor, ceil, round, max, min, abs} = Math
const NS = 'http://www.w3.org/2000/svg'
const RING = 144, MOST = 200
let now, lost = 0, why, asked, paused = false, timer, token, hot = {}, confirming
let notes = [], picked = [], rings = {}, usage = {}
const opened = new Set()

// h('td.n', {title}, 'text', child...): an element. A child that is false, 0, '' is none.
const nodes = kids => kids.flat(5).filter(Boolean).map(k => k.nodeType ? k : document.createTextNode(k))
function h(name, at, ...kids) {
  const [tag, ...classes] = name.split('.')
  if (!at || at.constructor !== Object) kids.unshift(at), at = {}
  const e = /^(svg|path|rect|line|text|title)$/.test(tag) ? document.createElementNS(NS, tag) : document.createElement(tag)
  if (classes.length) e.setAttribute('class', classes.join(' '))
  for (const k in at) if (at[k] != null) e.setAttribute(k, at[k])
  e.append(...nodes(kids))
  return e
}
const [p, b, span, small, code, text, path] = ['p', 'b', 'span', 'small', 'code', 'text', 'path'].map(tag => (...kids) => h(tag, ...kids))
function lay(parent, kids) {
  kids.forEach((kid, i) => {
    const old = parent.childNodes[i]
    if (!old) parent.append(kid)
    else if (old.nodeName !== kid.nodeName) old.replaceWith(kid)
    else if (kid.nodeType === 3) old.data === kid.data || (old.data = kid.data)
    else {
      for (const a of kid.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value)
      for (const a of [...old.attributes]) if (!kid.hasAttribute(a.name) && a.name !== 'open') old.removeAttribute(a.name)
      lay(old, [...kid.childNodes])
    }
  })
  while (parent.childNodes.length > kids.length) parent.lastChild.remove()
}
const show = (id, ...kids) => lay($(id), nodes(kids))
const heading = (id, ...more) => show('h-' + id, titles[id], small(more.filter(Boolean).join(' · ')))

const passing = /^(INITIATING|STARTING|SHUT)/

// How things are said
const units = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]]
function dur(ms) {
  if (ms == null || ms < 0) return ''
  if (ms < 1000) return round(ms) + ' ms'
  const s = floor(ms / 1000), k = units.findIndex(u => s >= u[1])
  if (s < 10) return (floor(ms / 100) / 10).toFixed(1) + ' s'
  if (s < 60) return s + ' s'
  const [big, n] = units[k], [less, m] = units[k + 1]
  return floor(s / n) + ' ' + big + ' ' + floor(s % n / m) + ' ' + less
}
function clock(ms, fine) {
  const d = new Date(ms), iso = new Date(ms - d.getTimezoneOffset() * 60000).toISOString()
  return (d.toDateString() === new Date().toDateString() ? '' : iso.slice(5, 10) + ' ') + iso.slice(11, fine ? 23 : 19)
}
const when = (ms, fine) => ms && h('time', {title: new Date(ms).toISOString()}, clock(ms, fine))
function num(v, unit) {
  if (v == null || !isFinite(v)) return '–'
  if (/^b/i.test(unit)) {
    let k = 0
    for (; abs(v) >= 1024 && k < 4; k++) v /= 1024
    return v.toFixed(k && v < 100 ? 1 : 0) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB'][k]
  }
  return (v && abs(v) < .001 ? v.toExponential(1) : v.toLocaleString('en', {maximumFractionDigits: abs(v) < 10 ? 2 : 1})) + (unit ? ' ' + unit : '').replace(' 1/', '/')
}
const pill = (state, said, loud) => h('span.p.' + state + (loud ? '.loud' : ''), said || state)
const hint = (...kids) => h('p.hint', ...kids)
const pairs = (kind, list) => h('dl.' + kind, list.map(([k, v]) => v && h('div', h('dt', k), h('dd', v))))
const button = (does, what, said, at) => h('button', {'data-a': does, 'data-v': what, ...at}, said)
// A table; a head that begins with > stands over numbers. A row is its cells, and may have a kind.
const table = (heads, rows) => h('table', h('thead', h('tr', heads.map(t => h(t[0] === '>' ? 'th.n' : 'th', {scope: 'col'}, t.replace('>', ''))))),
  h('tbody', rows.map(r => h('tr' + (r.kind || ''), r.map((c, i) => h(heads[i][0] === '>' ? 'td.n' : 'td', c))))))

// The head
function head(s) {
  const health = s.health_enabled ? s.overall : 'off'
  show('head', h('h1', s.name, ' ', small(s.version)), lost ? pill('bad', 'unreachable') : [pill(s.state), s.ready ? pill('ready') : pill('degraded', 'not ready'),
    pill(s.health_enabled ? health : 'unknown', /h.+y|gr/.test(health) ? health : 'health ' + health), s.live === false && pill('bad', 'not live')])
  const list = s.services || [], run = list.filter(x => x.state === 'RUNNING').length, because = (kind, what, text) => text && p(h('span.p.' + kind, span(what + ': ' + text + '.')))
  show('top', h('div', {id: 'verdict'}, list.length && p(run + ' of ' + list.length + ' services run.'),
    because('degraded', 'Not ready', !s.ready && (s.not_ready || !s.not_healthy && s.state)), because('bad', 'Not live', s.not_live), because('bad', 'Not healthy', s.not_healthy)),
  pairs('facts', [['up', dur(s.now_ms - s.started_ms)], ['since', when(s.started_ms)], ['pid', s.pid], ['generation', s.generation], ['host', s.host], ['build', s.build_id && h('code', {title: s.build_id}, s.build_id.slice(0, 12))], ['libsrun', s.libsrun], ['you may', s.right]]))
  const bad = lost || s.live === false || health === 'unhealthy', fair = s.ready && health !== 'degraded'
  document.title = (bad ? '✕ ' : fair ? '' : '▲ ') + s.name + ' · ' + (lost ? 'unreachable' : s.state)
  const icon = 'data:image/svg+xml,' + encodeURIComponent('<svg xmlns="' + NS + '" viewBox="0 0 16 16"><path stroke-width="4" ' + (bad ? 'stroke="#d33" d="M3 3l10 10M13 3L3 13"' : fair ? 'fill="#2a9d5c" d="M8 2a6 6 0 100 12A6 6 0 108 2"' : 'fill="#d90" d="M8 1l7 13H1z"') + '/></svg>')
  if ($('icon').href !== icon) $('icon').href = icon
}
function beat(s) {
  $('pause').textContent = paused ? 'Go on' : 'Pause'
  $('asof').textContent = s ? (paused ? 'paused at ' : 'as of ') + clock(s.now_ms) : ''
  show('lost', lost && h('div.bar', pill('bad', b('Unreachable')), span((s ? s.name : 'The program') + ' has not answered since ' + clock(lost) + ' (' + why + '). ' + (asked === 'stop' ? 'It was asked to stop from here. ' : '') + 'It is asked again every 2 s; below is what was known then.')))
  show('notes', notes.map((n, i) => h('div.bar', span(n), button('dismiss', i, 'Dismiss'))))
}

// The services
function strip(list) {
  const count = {}
  for (const r of list) count[r.status] = (count[r.status] || 0) + 1
  return h('span.strip', {role: 'img', 'aria-label': 'last ' + list.length + ': ' + Object.keys(count).map(k => count[k] + ' ' + k)},
    list.map(r => h('i', {class: {degraded: 'd', unhealthy: 'u', unknown: 'k', stopped: 'k'}[r.status], title: r.status + ', ' + r.source + ' ' + clock(r.time_ms) + (r.note && ': ' + r.note)})))
}
function said(x, e) {
  const line = (kind, what, ...more) => p(h('span.p.' + kind, span(b(what), ' ', more)))
  return [
    x.stuck && line('bad', 'Stuck:', 'one of its functions does not return'),
    passing.test(x.state) && x.waits_for && line(x.state, 'Waits for', x.waits_for, x.left_ms >= 0 && ' · limit in ' + dur(x.left_ms)),
    x.heartbeat_missed && line('bad', 'Heartbeat missed'),
    sick(e.own) ? line(e.own, e.own === 'degraded' ? 'Degraded:' : 'Unhealthy:', e.note || 'no reason was given', e.age_ms >= 0 && h('span.mute', ' · ' + dur(e.age_ms) + ' ago')) : sick(e.status) && h('p.mute', 'because of ', e.path),
    x.error && line(x.failed ? 'bad' : 'degraded', x.failed ? 'Failed:' : 'Last error:', x.error)].filter(Boolean)
}
const sick = status => /^(unh|deg)/.test(status)
function more(x, e) {
  return h('div.more', pairs('kv', [['init took', dur(x.init_took_ms)], ['ready after', dur(x.ready_took_ms)], ['stop took', dur(x.stop_took_ms)], ['own health', e.own]]),
    h('div', e.history && e.history.length ? table(['Result', 'At', 'By', '>Took', 'Note'], [...e.history].reverse().map(r => [pill(r.status), when(r.time_ms), r.source, dur(r.took_ms), r.note])) : hint('There is no result of a check.')))
}
function services(s) {
  const list = s.services || [], took = v => max(0, v || 0), most = max(1, ...list.map(x => took(x.init_took_ms) + took(x.ready_took_ms)))
  const on = s.health_enabled, col = (t, ...key) => h(t[0] === '>' ? 'th.n' : 'th', {scope: 'col'}, t.replace('>', ''), key)
  heading('services', list.length && list.length + ', in start order', !on && 'health is off: set SRUN_HEALTH=true to have them checked')
  show('b-services', !list.length ? hint('No services: nothing was added by srun_runner_add.') :
    h('table.sv', h('thead', h('tr', col('Service'), col('State'), col('>For'), col('Start', span(h('i.key'), 'init', h('i.key.r'), 'ready')), col('Depends on'), col(on ? 'Health' : ''), col(on ? '>Next check' : '>'), col('>Restarts'))),
      list.map(x => {
        const e = on && x.health || {}, i = round(took(x.init_took_ms) / most * 84), r = round(took(x.ready_took_ms) / most * 84), lines = said(x, e), is = opened.has(x.name), odd = x.failed || x.stuck
        return h('tbody', h('tr',
          h('th', {scope: 'row'}, button('open', x.name, x.name, {class: 'x', 'aria-expanded': is}), x.critical === false && h('span.tag', 'optional'), x.background && h('span.tag', 'background')),
          h('td', pill(odd ? 'bad' : x.state, x.state + (x.stuck ? ' · stuck' : x.failed ? ' · failed' : ''), odd || passing.test(x.state)), x.waits_for && !passing.test(x.state) && small(' waits for ', x.waits_for)),
          h('td.n', dur(x.in_state_ms)),
          h('td', (x.init_took_ms >= 0 || x.ready_took_ms >= 0) && [h('svg.cost', {'aria-hidden': true}, path({class: 'i', d: `M0 4h${i}`}), path({class: 'r', d: `M${i} 4h${r}`})), dur(x.init_took_ms), x.ready_took_ms >= 0 && ' + ' + dur(x.ready_took_ms)]),
          h('td', (x.depends || []).join(', ')),
          h('td', e.status && pill(e.status, '', sick(e.own)), (e.history || []).length && strip(e.history)),
          h('td.n', e.next_ms >= 0 && 'in ' + dur(e.next_ms)),
          h(x.restarts ? 'td.n' : 'td.n.z', String(x.restarts || 0))),
        (lines.length || is) && h('tr.m', h('td', {colspan: 8}, lines, is && more(x, e))))
      })))
}

// Charts
const counter = name => /_(total|count|sum|bucket)(\{|$)/.test(name)
function rate(t, v) {
  const out = [[], []]
  t.forEach((at, i) => {
    const d = v[i] - v[i - 1]
    if (d >= 0 && at > t[i - 1]) out[0].push(at), out[1].push(d * 1000 / (at - t[i - 1]))
  })
  return out
}
function chart(name, title, unit, t, v, own) {
  const n = v.length, here = hot.name === name, close = own && button('pick', name, '×', {'aria-label': 'Remove the chart of ' + name})
  if (!n) return h('figure', h('figcaption', span(title), close), hint('The first value is on its way.'))
  const i = here ? min(hot.i, n - 1) : n - 1, top = max(...v), low = min(...v)
  // From zero on, unless nothing would be seen of the changes then; but noise does not look large.
  const zero = low < top * .7, least = max(top - low, abs(top) / 20) || 1
  const from = zero ? min(0, low) : low - least * .3, height = zero ? top - from : least * 1.3
  const x = k => n > 1 ? round((t[k] - t[0]) / (t[n - 1] - t[0] || 1) * 3000) / 10 : 300, y = k => round(600 - (v[k] - from) / height * 560) / 10
  const d = n > 1 ? 'M' + v.map((_, k) => x(k) + ' ' + y(k)).join('L') : 'M290 32H300'
  return h('figure', h('figcaption', span(title), b(num(v[i], unit)), close),
    h('svg', {viewBox: '0 0 300 64', preserveAspectRatio: 'none', role: 'img', tabindex: 0, 'data-chart': name, 'data-n': n, 'aria-label': `${title}: ${num(v[i], unit)} at ${clock(t[i])}, between ${num(low, unit)} and ${num(top, unit)}; arrow keys read it`},
      path({class: 'grid', d: 'M0 4H300M0 60H300'}), n > 1 && path({class: 'area', d: d + 'V60H0Z'}), path({class: 'line', d}), here && path({class: 'at', d: `M${x(i)} 0V64`})),
    h('p', span(here ? clock(t[i]) : n > 1 ? 'last ' + dur(t[n - 1] - t[0]) : 'one value'), span(low < top && num(low, unit) + ' to ' + num(top, unit))))
}
function charts(s) {
  const list = (s.series || []).map(c => chart(c.name, {cpu: 'CPU', rss: 'Memory (RSS)', fds: 'Descriptors', threads: 'Threads', switches: 'Context switches'}[c.name] || c.name, c.unit, c.times_ms, c.values))
  for (const name of picked) {
    const [t, v] = rings[name] || [[], []]
    list.push(chart(name, counter(name) ? name + ', per second' : name, '', ...counter(name) ? rate(t, v) : [t, v], true))
  }
  heading('charts', 'any metric from below can be added')
  show('b-charts', list.length ? list : hint('No sample yet: the first ones come within some seconds.'))
}

// The timeline. Stretches in which nothing happens are folded, so that a start of 200 ms is still
// seen after three days.
const bar = (state, x, width, y, ...kids) => {
  const thin = {INITIATING: 5, INITIATED: 8, RUNNING: 5}[state] || 2
  return h('rect', {class: state, x, width, y: y + thin, height: 18 - 2 * thin}, kids)
}
function timeline(s) {
  const list = (s.timeline || []).filter(e => e.time_ms <= s.now_ms), end = s.now_ms
  heading('timeline', list.length && list.length + ' changes of state; where nothing happened it is folded')
  if (!list.length) return show('b-timeline', hint('No change of state was seen yet.'))
  const names = [...new Set([...(s.services || []).map(x => x.name), ...list.map(e => e.service)])].filter(n => list.some(e => e.service === n)), state = {}
  // Stretches between two changes: when, how long, is anybody on the way?
  const all = [...new Set(list.map(e => e.time_ms))].sort((a, b) => a - b)
  let parts = all.map((t, k) => {
    for (const e of list) if (e.time_ms === t) state[e.service] = e.to
    return {t, ms: (all[k + 1] || end) - t, busy: Object.values(state).some(v => passing.test(v))}
  })
  const active = parts.reduce((sum, q) => sum + (q.busy && q.ms), 0)
  for (const q of parts) q.fold = !q.busy && active && q.ms > max(active / 4, 500)
  const W = max(270, $('b-timeline').clientWidth - 24), L = min(170, W * .3), FOLD = min(62, W / 8)
  const many = parts.filter(q => q.fold), folds = many.slice(-ceil(W / 220))
  if (folds.length < many.length) parts = parts.slice(parts.indexOf(folds[0]))
  const begin = parts[0].t, full = parts.reduce((sum, q) => sum + (q.fold ? 0 : q.ms), 0) || 1, room = W - L - FOLD * folds.length
  let at = L
  for (const q of parts) q.x = at, at += q.w = q.fold ? FOLD : q.ms / full * room
  const x = t => t >= end ? at : (parts.find(q => q.t === t) || {x: L}).x
  const last = parts[parts.length - 1], H = 28 + names.length * 20, left = [], out = [text({class: 't', y: 13}, clock(begin, W > 600)), !last.fold && text({class: 't', x: W, y: 13, 'text-anchor': 'end'}, 'now')]
  names.forEach((name, row) => {
    const y = 22 + row * 20
    left.push(text({y: y + 13}, name, h('title', name)))
    out.push(h('line', {x1: L, x2: W, y1: y + 9, y2: y + 9}))
    list.filter(e => e.service === name).forEach((e, k, mine) => {
      const to = k + 1 < mine.length ? mine[k + 1].time_ms : end, a = x(e.time_ms), w = max(2, x(to) - a)
      if (to < begin || e.to === 'STOPPED') return
      out.push(bar(e.to, a, w, y, h('title', name + ' ' + e.to + ' for ' + dur(to - e.time_ms) + ', from ' + clock(e.time_ms, true))))
      if (w > 52 && passing.test(e.to)) out.push(text({x: a + 5, y: y + 13}, dur(to - e.time_ms)))
    })
  })
  for (const q of parts) if (q.fold) out.push(h('rect.fold', {x: q.x + 5, width: FOLD - 10, y: 19, height: H - 23}, h('title', 'nothing happened for ' + dur(q.ms))), text({class: 't', x: q === last ? W : q.x + FOLD / 2, y: 13, 'text-anchor': q === last ? 'end' : 'middle'}, dur(q.ms)))
  show('b-timeline', h('svg.gantt', {width: W, height: H, role: 'img', 'aria-label': 'Which service was in which state when: listed below'}, h('svg', {width: L - 8}, left), out),
    h('p.legend', ['INITIATING', 'INITIATED', 'STARTING', 'RUNNING', 'SHUTTING_DOWN'].map(t => span(h('svg.gantt', {width: 20, height: 18, 'aria-hidden': true}, bar(t, 1, 18, 0)), t))),
    h('details', h('summary', 'As a list'), table(['Time', 'Service', 'From', 'To'], list.slice(-MOST).reverse().map(e => [when(e.time_ms, true), e.service, e.from, pill(e.to)]))))
}

// Control
const acts = {
  drain: ['Drain', 'Take it out of rotation? It says “not ready” and serves on.'],
  undrain: ['End the drain', 'Put it back into rotation?', 'drain?off'],
  upgrade: ['Upgrade', 'Start its file anew and hand over? If that fails, this process serves on.'],
  stop: ['Stop', 'Stop the program? Nothing starts it again from here.']
}
function control(s) {
  const may = s.right === 'write', c = acts[confirming], select = (id, label, list) => h('select', {id, 'aria-label': label}, list.map(l => h('option', {value: l.replace(' ', '').slice(0, 5)}, l)))
  show('b-control', h('p.row', span('Log level ', b(s.log_level || 'unknown'), s.log_level_reverts_in_ms >= 0 && ', back to what it was in ' + dur(s.log_level_reverts_in_ms))),
    may && [h('div.row', select('level', 'New log level', ['debug', 'info', 'warn', 'error']), 'for', select('for', 'For how long', ['10 m', '1 m', '1 h']), button('level', '', 'Set')),
      c ? h('div.row', {role: 'group'}, span(c[1]), button('really', '', 'Yes, ' + c[0].toLowerCase(), {class: 'go ' + confirming}), button('cancel', '', 'Cancel', {id: 'cancel'})) :
        h('div.row', [s.state === 'withdrawn' ? 'undrain' : 'drain', 'upgrade', 'stop'].map(a => button('confirm', a, acts[a][0] + ' …', {id: 'do-' + a})))],
    !may && hint('You may read. Changes need the right to write: use srunctl on that machine, or the admin token, which is forgotten when this page is left.'))
  $('unlock').hidden = may
}
function say(text, bad) { $('said').textContent = text; $('said').className = bad ? 'bad' : '' }
const auth = () => token ? {Authorization: 'Bearer ' + token} : {}
async function write(path) {
  say('Asking …')
  try {
    const r = await fetch('admin/' + path, {method: 'POST', headers: {'X-Srun-Admin': '1', ...auth()}})
    say((await r.text()).trim().slice(0, 400) || 'It answered ' + r.status, !r.ok)
  } catch (e) { say('No answer: ' + e.message, true) }
  tick()
}

function upgrades(s) {
  const u = s.upgrade || {}, list = s.generations || []
  show('b-upgrades', pairs('kv', [['now', (u.state || 'unknown') + (u.peer_pid ? ', with pid ' + u.peer_pid : '')],
    ['so far', u.attempts ? `${u.attempts}: ${u.succeeded} succeeded, ${u.failed} failed, ${u.rolled_back} rolled back` : 'none asked of this process'],
    ['last', u.last_ms && [u.last_code ? pill('bad', 'failed') : pill('healthy', 'succeeded'), u.last_phase && ' while ' + u.last_phase, ' at ', when(u.last_ms), u.last_text && h('div', u.last_text)]]]),
  list.length && table(['>Generation', '>Pid', 'State', 'Since', '>Connections'], list.map(g => [g.generation, g.pid, pill(g.state), when(g.since_ms), g.connections >= 0 && String(g.connections)])))
}

// Lists with a search: the heads, what to list, what is searched, the cells of a row, something to
// search for, and what to say when the list is empty.
const mono = (...kids) => h('span.mono', ...kids), row = (kind, ...cells) => Object.assign(cells, {kind})
const changed = c => c.origin ? c.origin !== 'default' : c.value !== c.default
const lists = {
  metrics: [['Metric', '>Value'], s => s.metrics, m => m.name, m => [button('pick', m.name, m.name, {class: 'x mono', title: 'Chart it', 'aria-pressed': picked.includes(m.name)}), num(m.value)], 'http_*_total', 'No metric is registered.'],
  threads: [['Thread', '>Id', 'State', '>Now', '>CPU time'], s => s.threads && s.threads.sort((a, b) => b.cpu_ms - a.cpu_ms), t => t.name, t => {
    const [at, cpu] = usage[t.tid] || []
    return [mono(t.name), t.tid, {R: 'running', S: 'sleeping', D: 'waits for a disk', T: 'stopped', Z: 'ended', I: 'idle'}[t.state] || t.state, at < now.now_ms && ((t.cpu_ms - cpu) / (now.now_ms - at) * 100).toFixed(0) + ' %', dur(t.cpu_ms)]
  }, 'srun:*', 'The system tells of none.'],
  config: [['Setting', 'Value', 'From'], s => s.config, c => c.group + '.' + c.key + ' ' + c.variable + ' ' + c.value + (changed(c) ? ' changed' : ''), c => {
    const odd = changed(c)
    return row(odd ? '.new' : '', mono({title: c.variable}, c.group + '.' + c.key), mono(odd ? b(c.value || '""') : c.value), h('span.mute', c.origin, odd && c.value !== c.default && ['; default ', code(c.default || '""')]))
  }, 'log, or changed', 'It is not told.'],
  flags: [['Flag', 'Value', 'From'], s => s.flags, f => f.name + ' ' + f.value, f => row(f.given ? '.new' : '', mono('--' + f.name), mono(f.given ? b(f.value) : f.value), h('span.mute', f.given ? 'command line' : 'default')), 'http.*', 'The program has no flags.']
}
function search(id) {
  const [heads, get, words, cells, , none] = lists[id], all = get(now) || [], asks = $('q-' + id).value.trim()
  const by = new RegExp(/[*?]/.test(asks) ? '^' + asks.replace(/[^\w*?]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.') + '$' : asks.replace(/\W/g, '\\$&'), 'i')
  const found = all.filter(x => by.test(words(x))), odd = id === 'config' && all.filter(changed).length
  heading(id, found.length < all.length ? found.length + ' of ' + all.length : all.length, odd && odd + ' changed')
  show('b-' + id, found.length ? table(heads, found.slice(0, MOST).map(cells)) : hint(all.length ? 'Nothing matches.' : none), found.length > MOST && hint(found.length - MOST + ' more'))
}

function profiles(s) {
  const line = 'go tool pprof ' + new URL('debug/pprof/profile', location).href, kept = s.captures || [], link = (path, text) => h('a', {href: 'debug/' + path}, text)
  heading('profiles', kept.length && kept.length + ' captured')
  show('b-profiles', s.profiling ? [h('p.row', code(line), button('copy', line, 'Copy')), h('p.row', ['profile', 'threads', 'heap'].map(k => link('pprof/' + k + '?seconds=5&format=flame', k)), link('pprof/threads?debug=2', 'stacks'))] : hint('There are no profiles here.'),
    kept.length && table(['Captured', 'Why', 'See', '>Bytes'], kept.map(c => [when(c.time_ms), (c.service && c.service + ': ') + c.why, link('captures/' + c.number + '?format=text', c.kind), link('captures/' + c.number, num(c.bytes, 'B'))]).reverse()))
}

const titles = {services: 'Services', charts: 'Charts', timeline: 'Timeline', control: 'Control', upgrades: 'Upgrades', metrics: 'Metrics', threads: 'Threads', config: 'Configuration', flags: 'Flags', profiles: 'Profiles'}
// One odd value does not hide the rest.
function draw() {
  for (const f of [beat, ...now ? [head, services, charts, timeline, control, upgrades, profiles, ...Object.keys(lists)] : []]) try { f.call ? f(now) : search(f) } catch (e) { console.error(e) }
}

// Asking
async function tick() {
  clearTimeout(timer)
  try {
    const r = await fetch('status.json', {headers: auth(), cache: 'no-store', signal: AbortSignal.timeout(5000)})
    if (token && (r.status === 401 || r.status === 403)) {
      token = ''
      say('The token was not accepted.', true)
      return tick()
    }
    if (!r.ok) throw Error('status ' + r.status)
    take(await r.json())
  } catch (e) {
    lost = lost || Date.now()
    why = e.name === 'TimeoutError' ? 'nothing within 5 s' : e.name === 'Error' ? e.message : 'no connection'
  }
  draw()
  if (!lost) for (const t of now.threads || []) usage[t.tid] = [now.now_ms, t.cpu_ms]
  clearTimeout(timer)
  if (!paused && !document.hidden) timer = setTimeout(tick, 2000)
}
function take(s) {
  if (now && s.pid !== now.pid) {
    notes.unshift((s.generation > now.generation ? 'Upgraded: generation ' + s.generation + ' has taken over' : 'Started anew') + ' at ' + clock(s.now_ms) + '; pid ' + now.pid + ' → ' + s.pid + (s.version !== now.version ? ', version ' + now.version + ' → ' + s.version : '') + '.')
    rings = {}
    usage = {}
    asked = ''
  } else if (lost && now) notes.unshift('It answers again, after ' + dur(Date.now() - lost) + '.')
  notes.splice(3)
  lost = 0
  now = s
  for (const m of s.metrics || []) {
    const [t, v] = rings[m.name] = rings[m.name] || [[], []]
    t.push(s.now_ms)
    v.push(m.value)
    if (t.length > RING) t.shift(), v.shift()
  }
}

// What people do
const on = addEventListener
const focus = id => $(id) && $(id).focus()
const does = {
  pause() { paused = !paused; paused ? clearTimeout(timer) : tick() },
  dismiss(i) { notes.splice(i, 1) },
  open(name) { opened.delete(name) || opened.add(name) },
  pick(name) { picked = picked.includes(name) ? picked.filter(q => q !== name) : [...picked, name].slice(-12) },
  confirm(what) { confirming = what; draw(); focus('cancel') },
  cancel() { const was = confirming; confirming = ''; draw(); focus('do-' + was) },
  really() { asked = confirming; confirming = ''; write(acts[asked][2] || asked) },
  level() { write('log-level?level=' + $('level').value + '&for=' + $('for').value) },
  copy(text, from) { navigator.clipboard ? navigator.clipboard.writeText(text).then(() => from.textContent = 'Copied') : getSelection().selectAllChildren(from.previousSibling) }
}
on('click', e => {
  const b = e.target.closest('[data-a]')
  if (b) does[b.dataset.a](b.dataset.v, b), draw()
})
on('submit', e => {
  e.preventDefault()
  token = $('token').value.trim()
  $('token').value = ''
  tick()
})
on('input', draw)
on('keydown', e => {
  const {chart: name, n} = e.target.dataset, step = {ArrowLeft: -1, ArrowRight: 1}[e.key]
  if (e.key === 'Escape' && confirming) does.cancel()
  if (!name || !step) return
  e.preventDefault()
  point(name, (hot.name === name ? hot.i : n - 1) + step, n)
})
function point(name, i, n) {
  if (!name && !hot.name) return
  hot = {name, i: max(0, min(n - 1, i))}
  charts(now)
}
on('pointermove', e => {
  const {chart: name, n} = e.target.dataset, box = e.target.getBoundingClientRect()
  point(name, round((e.clientX - box.left) / box.width * (n - 1)), n)
})
on('focusout', () => point())
on('visibilitychange', () => document.hidden || paused || tick())
on('resize', () => now && timeline(now))

show('nav', Object.keys(titles).map(id => h('a', {href: '#' + id}, titles[id])))
show('live', Object.keys(titles).slice(1).map((id, k) => h('section' + (k > 1 && k < 8 ? '.half' : ''), {id, 'aria-labelledby': 'h-' + id}, h('h2', {id: 'h-' + id}, titles[id]),
  lists[id] && h('input.find', {id: 'q-' + id, type: 'search', 'aria-label': 'Search ' + titles[id].toLowerCase(), placeholder: 'search: ' + lists[id][4]}),
  h(lists[id] ? 'div.box.tall' : k ? 'div.box' : 'div', lists[id] ? {id: 'b-' + id, tabindex: 0, role: 'region', 'aria-labelledby': 'h-' + id} : id === 'control' ? {} : {id: 'b-' + id},
    id === 'control' && [h('div', {id: 'b-control'}), p({id: 'said', role: 'status'}), h('form.row', {id: 'unlock'}, h('label', {for: 'token'}, 'Admin token'), h('input', {id: 'token', type: 'password', autocomplete: 'off'}), h('button', 'Unlock'))]))))
$('beat').hidden = $('nav').hidden = $('live').hidden = false
tick()
