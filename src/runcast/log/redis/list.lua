-- Streams as they are now. ARGV: epoch, "one", name | "name", kind or "", after, limit | "recent", kind or "", before,
-- limit | "head". Returns {position, generation, id at the position, streams}.
if not begin(ARGV[1]) then return gone() end
local how, kind, edge, limit, names = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), {}
if how == 'one' then
  names[1] = kind
elseif how == 'name' then
  local low = kind ~= '' and kind .. ':' or ''
  low = edge >= low and '(' .. edge or '[' .. low
  names = call('ZRANGEBYLEX', root .. 'n', low == '(' and '-' or low, kind ~= '' and '(' .. kind .. ';' or '+',
    'LIMIT', 0, limit)
elseif how == 'recent' then
  local found = {}
  for _, each in ipairs(kind ~= '' and {kind} or call('SMEMBERS', root .. 'k')) do
    local some = call('ZREVRANGEBYSCORE', root .. 'r:' .. each, '(' .. edge, '-inf', 'WITHSCORES', 'LIMIT', 0, limit)
    for place = 1, #some, 2 do
      found[#found + 1] = {tonumber(some[place + 1]), some[place]}
    end
  end
  table.sort(found, function(one, other) return one[1] > other[1] end)
  for place = 1, math.min(limit, #found) do
    names[place] = found[place][2]
  end
end
local streams = {}
for _, name in ipairs(names) do
  local s = load_stream(name)
  if s then streams[#streams + 1] = info_of(s) end
end
return cmsgpack.pack({position, generation, last_id, streams})
