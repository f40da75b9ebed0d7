-- Stores one commit: numbers its events, knows repeated ids, opens and closes runs. All of it happens, or none.
--
-- ARGV: epoch, now (0: the server's), wake command, writer, number of the commit, first reserved position (0: take
-- the next, -1: by the clock), how many are reserved, window of ids, most events of a run (0: any), and what is to be stored:
-- {streams {name, new epoch}, jobs {lease or "", token, owner, segments {stream, {flags and the id that was given, event, …}}}}.
--
-- Returns {before, position, generation, job -> 0 or 1 if its lease is stale, segments}, a segment being
-- {stream, epoch, seq, position, count}: `count` new events in a row, -1: a repeated one;
-- or {stream, epoch, oldest, position, 0}: the run was closed, {…, -2}: trimmed.
local writer = root .. 'w:' .. ARGV[4]
local answered = call('GET', writer)
if answered then
  local number, answer = string.match(answered, '^(%d+) (.*)$')
  if number == ARGV[5] then return answer end
  if tonumber(number) > tonumber(ARGV[5]) then -- sent long ago, given up, and stuck in a connection until now
    return redis.error_reply('LATE another commit of this writer came after it')
  end
end
local first, reserved = tonumber(ARGV[6]), tonumber(ARGV[7])
if not begin(ARGV[1], ARGV[2], first > 0) then return gone() end
if not go_to(first, reserved) then return behind() end
local window, most = tonumber(ARGV[8]), tonumber(ARGV[9])
local batch = cmsgpack.unpack(ARGV[10])

local streams, names, seeds = {}, {}, {}
for index, one in ipairs(batch[1]) do
  names[index], seeds[index] = one[1], one[2]
end
local segments, touched, open, last_body, moment = {}, {}, nil, nil, int(now)

local function flush()
  if open then
    local s = open
    call('XADD', root .. 'x:' .. s.kind, int(s.first_pos) .. '-0', 'v',
      s.epoch .. ' ' .. int(s.first_seq) .. ' ' .. int(s.count) .. ' ' .. s.stream)
    segments[#segments + 1] = {s.index, s.epoch, s.first_seq, s.first_pos, s.count}
    open = nil
  end
end

local function next_epoch(index)
  local seed = seeds[index]
  seeds[index] = string.sub(seed, 1, 12) .. string.format('%04x', (tonumber(string.sub(seed, 13), 16) + 1) % 65536)
  return seed
end

local function get(index)
  local s = streams[index]
  if s == nil then
    s = load_stream(names[index]) or false
    streams[index] = s
    if s then s.index, s.given, s.ids = index, {}, 0 end
  end
  return s
end

local function create(index)
  local s = new_run(names[index], next_epoch(index))
  s.index, s.given, s.ids = index, {}, 0
  streams[index] = s
  call('SADD', root .. 'k', s.kind)
  call('ZADD', root .. 'n', 0, s.stream)
  return s
end

local function close(s)
  flush()
  close_run(s)
  last_body = nil
  touched[s.index] = s
  segments[#segments + 1] = {s.index, s.epoch, s.oldest, position, 0}
end

-- The ids among those of a segment's events that the stream knows: id -> {epoch, seq, position}.
local function look_up(s, events)
  local ids = {}
  for place = 1, #events, 2 do
    if string.byte(events[place]) % 2 == 1 then ids[#ids + 1] = string.sub(events[place], 2) end
  end
  for generation = 0, 1 do
    for start = 1, #ids, 1000 do
      local stop = math.min(start + 999, #ids)
      local found = call('HMGET', root .. 'd' .. generation .. ':' .. s.stream, unpack(ids, start, stop))
      for place = start, stop do
        local packed = found[place - start + 1]
        if packed then
          local epoch, seq, pos = string.match(packed, '(%x+) (%d+) (%d+)')
          local run = find_run(s, epoch)
          if run and tonumber(seq) >= run.oldest then
            s.known[ids[place]] = {epoch, tonumber(seq), tonumber(pos)}
          end
        end
      end
    end
  end
end

local function append(index, header, body)
  local s, flags = get(index), string.byte(header) - 48
  local given = flags % 2 == 1
  local id = given and string.sub(header, 2)
  local edge = given and (flags - 1) / 2 or flags / 2
  local known = given and s and s.known[id]
  if known then
    flush()
    segments[#segments + 1] = {index, known[1], known[2], known[3], -1}
    return
  end
  if not s then
    s = create(index)
    s.known = {}
  else
    if s.term == 1 and edge == 1 and s.closed == 0 then close(s) end
    if s.closed > 0 then
      flush()
      keep_run(s)
      new_run(s.stream, next_epoch(index), s)
      s.last = nil
    end
  end
  position = position + 1
  s.head, s.pos, s.last, s.updated = s.head + 1, position, body, moment
  if edge == 2 then s.term = 1 end
  touched[index] = s
  if s.key_epoch ~= s.epoch then
    s.key, s.key_epoch = root .. 'e:' .. s.stream .. ':' .. s.epoch, s.epoch
  end
  call('XADD', s.key, string.format('%d-%d', s.head, position), 'e', body)
  if given then
    s.known[id] = {s.epoch, s.head, position}
    s.given[#s.given + 1] = id
    s.given[#s.given + 1] = s.epoch .. ' ' .. int(s.head) .. ' ' .. int(position)
  end
  if open == s and s.first_pos + s.count == position and s.first_epoch == s.epoch then
    s.count = s.count + 1
  else
    flush()
    open, s.first_pos, s.first_seq, s.count, s.first_epoch = s, position, s.head, 1, s.epoch
  end
  last_body = body
end

local results = {}
for number, job in ipairs(batch[2]) do
  local lease, token, owner, parts = job[1], job[2], job[3], job[4]
  results[number] = 0
  if lease ~= '' then
    local held = call('HMGET', root .. 'l:' .. lease, 'token', 'owner')
    if held[1] ~= token or held[2] ~= owner then results[number] = 1 end
  end
  for _, part in ipairs(results[number] == 0 and parts or {}) do
    local index, events = part[1], part[2]
    local s = get(index)
    if s then
      s.known = s.known or {}
      look_up(s, events)
    end
    for place = 1, #events, 2 do
      append(index, events[place], events[place + 1])
    end
  end
end
flush()
if last_body then last_id = id_in(last_body) end

for index, s in pairs(touched) do
  if s.last then s.id = id_in(s.last) end
  if #s.given > 0 then
    if s.dn >= window then
      s.dg, s.dn = 1 - s.dg, 0
      call('UNLINK', root .. 'd' .. s.dg .. ':' .. s.stream)
    end
    for start = 1, #s.given, 1000 do
      call('HSET', root .. 'd' .. s.dg .. ':' .. s.stream, unpack(s.given, start, math.min(start + 999, #s.given)))
    end
    s.dn = s.dn + #s.given / 2
  end
  if most > 0 and s.head - s.oldest + 1 > most + most / 8 then
    s.oldest = s.head - most + 1
    add_control('trim', s.epoch, s.oldest, s.stream)
    segments[#segments + 1] = {index, s.epoch, s.oldest, position, -2}
    call('SADD', root .. 't', s.stream)
    remove_events(s.stream, s.epoch, s.oldest, 1000)
  end
  save_stream(s)
  call('ZADD', root .. 'r:' .. s.kind, int(s.pos), s.stream)
end
fill(first, reserved)
local answer = cmsgpack.pack({before, position, generation, results, segments})
if position > before then
  commit()
  wake(ARGV[3])
end
call('SET', writer, ARGV[5] .. ' ' .. answer, 'EX', 3600)
return answer
