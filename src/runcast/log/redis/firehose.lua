-- What was committed after a position, in order: the events that are kept, of one kind or all, and what else happened.
--
-- ARGV: epoch, kind or "", after, until, limit, about how many bytes, whether to say what else happened (1 or 0).
-- Returns {facts, parts}; the facts are {position, generation, the id at `after`, how far this reaches, whether more
-- is there, the positions that are used: {first, count, …} up to there}, a part is {stream, epoch, change or "", oldest, position, events}.
if not begin(ARGV[1]) then return gone() end
local kind, after, limit, bytes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
local till = math.min(tonumber(ARGV[4]), position)
local kinds = kind ~= '' and {kind} or call('SMEMBERS', root .. 'k')
local id, entries, horizon = '', {}, till
local everything = ARGV[7] == '1'

-- Who is told of everything is told of events, too, that were cleared or trimmed meanwhile, and are still there.
local function alive(cache, stream, epoch)
  if everything then return {oldest = 1} end
  local key = epoch .. stream
  if cache[key] == nil then
    cache[key] = find_run(load_stream(stream), epoch) or false
  end
  return cache[key]
end

local runs = {}
local function id_at(entry)
  local run = alive(runs, entry[6], entry[3])
  local seq = entry[4] + after - entry[2]
  if not run or seq < run.oldest then return end
  local row = call('XRANGE', root .. 'e:' .. entry[6] .. ':' .. entry[3], int(seq), int(seq))[1]
  if row then id = event_id(row) end
end

local function add(entry_id, value)
  local first = place_of(entry_id)
  local word, seq, count, stream = string.match(value, '(%w+) (%d+) (%d+) (.+)')
  entries[#entries + 1] = {first, word, tonumber(seq), tonumber(count), stream}
end

-- Whoever looks for the event at `after` itself need not know of which kind it is.
if after > 0 and after <= position then
  for _, each in ipairs(kind ~= '' and call('SMEMBERS', root .. 'k') or kinds) do
    local entry = covering(root .. 'x:' .. each, after)
    if entry then
      id_at(entry)
      if (kind == '' or each == kind) and entry[2] + entry[5] - 1 > after then
        add(entry[1], entry[3] .. ' ' .. int(entry[4]) .. ' ' .. int(entry[5]) .. ' ' .. entry[6])
      end
      break
    end
  end
end
if after < till then
  for _, each in ipairs(kinds) do
    local found = call('XRANGE', root .. 'x:' .. each, int(after + 1) .. '-0', int(till) .. '-0', 'COUNT', limit)
    for _, entry in ipairs(found) do
      add(entry[1], entry[2][2])
    end
    if #found == limit then horizon = math.min(horizon, (place_of(found[limit][1]))) end
  end
  if everything then
    local found = call('XRANGE', root .. 'x:!', int(after + 1) .. '-0', int(till) .. '-0', 'COUNT', limit)
    for _, entry in ipairs(found) do
      local first = place_of(entry[1])
      local change, epoch, oldest, stream = string.match(entry[2][2], '(%w+) (%x+) (%d+) (.+)')
      entries[#entries + 1] = {first, epoch, tonumber(oldest), 0, stream, change}
    end
    if #found == limit then horizon = math.min(horizon, (place_of(found[limit][1]))) end
  end
end
table.sort(entries, function(one, other) return one[1] < other[1] end)

local parts, total, size, reach, more = {}, 0, 0, horizon, horizon < till
local function part(stream, epoch, change, oldest, first, events)
  parts[#parts + 1] = '\150' .. cmsgpack.pack(stream) .. cmsgpack.pack(epoch) .. cmsgpack.pack(change)
    .. cmsgpack.pack(oldest) .. cmsgpack.pack(first) .. array(#events) .. table.concat(events)
end

-- Packs the events of an entry as far as there is room; returns whether all of them fitted.
local function take(entry)
  local first, epoch, seq, count, stream = unpack(entry)
  local run = alive(runs, stream, epoch)
  if not run then return true end
  local from = math.max(seq, run.oldest, seq + after + 1 - first)
  local last = math.min(seq + count - 1, seq + till - first)
  local events, whole = {}, true
  while from <= last do
    if total >= limit or size > bytes then
      whole, reach = false, first + from - seq - 1
      break
    end
    local some = math.min(limit - total, 16 + total, last - from + 1)
    local rows = call('XRANGE', root .. 'e:' .. stream .. ':' .. epoch, int(from), int(last), 'COUNT', some)
    if #rows == 0 then break end
    for _, row in ipairs(rows) do
      if size > bytes then break end
      events[#events + 1] = pack_event(row)
      size, total = size + #row[2][2], total + 1
      from = place_of(row[1]) + 1
    end
  end
  if #events > 0 then part(stream, epoch, '', 0, first, events) end
  return whole
end

for _, entry in ipairs(entries) do
  if entry[1] > horizon then break end
  if entry[6] then
    if total >= limit or #parts >= limit then
      reach, more = entry[1] - 1, true
      break
    end
    part(entry[5], entry[2], entry[6], entry[3], entry[1], {})
  elseif not take(entry) then
    more = true
    break
  end
end
local used = {}
if everything then
  for _, entry in ipairs(entries) do
    if entry[1] > reach then break end
    used[#used + 1] = entry[1]
    used[#used + 1] = math.max(entry[4], 1)
  end
  for _, spared in ipairs(call('ZRANGEBYSCORE', root .. 'v', int(after - 4096), more and int(reach) or ARGV[4])) do
    local first, count = string.match(spared, '(%d+) (%d+)')
    used[#used + 1] = tonumber(first)
    used[#used + 1] = tonumber(count)
  end
end
return '\146' .. cmsgpack.pack({position, generation, id, reach, more and 1 or 0, used}) .. array(#parts) .. table.concat(parts)
