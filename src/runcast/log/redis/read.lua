-- The events of a run of a stream, with all that it takes to say whether they follow on a cursor.
--
-- ARGV: epoch, stream, epoch of the run that is wanted or "", after, limit, until, about how many bytes.
-- Returns {facts, events}; the facts are {position, generation} for a stream that does not exist, else these two,
-- the current run {epoch, oldest, head}, the wanted one or nil {…}, the id at `after` there, the run that is read,
-- after which seq, its head within `until`, and whether it is closed within `until`.
if not begin(ARGV[1]) then return gone() end
local s = load_stream(ARGV[2])
if not s then
  return '\146' .. cmsgpack.pack({position, generation}) .. '\144'
end
local wanted, after, limit = find_run(s, ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local till, bytes = tonumber(ARGV[6]), tonumber(ARGV[7])
local run, from, id = s, s.oldest - 1, ''
if wanted and after <= wanted.head then
  run, from = wanted, math.max(after, wanted.oldest - 1)
end
local key = root .. 'e:' .. s.stream .. ':' .. run.epoch

local function first_from(seq)
  return call('XRANGE', key, int(seq), '+', 'COUNT', 1)[1]
end

if run == wanted and after >= run.oldest and after > 0 then
  local row = first_from(after)
  if row and place_of(row[1]) == after then id = event_id(row) end
end
local head = run.head
if till < run.pos then
  local low, high = run.oldest - 1, run.head
  while low < high do
    local middle = math.ceil((low + high) / 2)
    local row = first_from(middle)
    local _, pos = place_of(row and row[1] or '0-9007199254740991')
    if pos <= till then low = middle else high = middle - 1 end
  end
  head = low
end

local out, size, next_seq = {}, 0, from + 1
while #out < limit and size <= bytes and next_seq <= head do
  local rows = call('XRANGE', key, int(next_seq), int(head), 'COUNT', math.min(limit - #out, 16 + #out))
  if #rows == 0 then break end
  for _, row in ipairs(rows) do
    if size > bytes then break end
    out[#out + 1] = pack_event(row)
    size = size + #row[2][2]
  end
  next_seq = place_of(rows[#rows][1]) + 1
end
local function span(of)
  return {of.epoch, of.oldest, of.head}
end
local facts = {position, generation, span(s), wanted and span(wanted) or {}, id, run.epoch, from, head,
  (run.closed > 0 and run.closed <= till) and 1 or 0}
return '\146' .. cmsgpack.pack(facts) .. array(#out) .. table.concat(out)
